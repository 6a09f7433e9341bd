// Package prose holds no code. Its test counts phrases that make comments, messages and documents hard to read, and
// lines that are too long, in each package of the module.
package prose
