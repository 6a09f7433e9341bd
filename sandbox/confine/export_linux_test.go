package confine

// Unfiltered makes Enter leave the filter out, to see what the other layers do alone.
var Unfiltered = &unfiltered
