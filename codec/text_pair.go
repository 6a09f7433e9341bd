package codec

import "encoding/base64"

// pairOfTexts is a dict of exactly two texts. Such dicts represent bytes and, in serpent, nan.
type pairOfTexts struct {
	keys, values [2][]byte
	end          int // offset behind the '}'
}

// readPairOfTexts reads the dict at doc[pos] and reports whether it is a pair of texts without escapes that can
// represent bytes or a float. It stops at the first byte that does not fit, so it reads at most two texts. If single
// is set, texts may have single quotes and commas may trail.
func readPairOfTexts(doc []byte, pos int, single bool) (p pairOfTexts, ok bool) {
	pos++
	for i := range 2 {
		p.keys[i], pos, ok = plainText(doc, pos, single)
		if !ok {
			return p, false
		}
		if k := p.keys[0]; i == 0 && string(k) != "data" && string(k) != "encoding" &&
			(!single || string(k) != "__class__" && string(k) != "value") {
			return p, false
		}
		pos, ok = skipTo(doc, pos, ':')
		if !ok {
			return p, false
		}
		p.values[i], pos, ok = plainText(doc, pos, single)
		if !ok {
			return p, false
		}
		if after, comma := skipTo(doc, pos, ','); comma && (i == 0 || single) {
			pos = after
		} else if i == 0 {
			return p, false
		}
	}
	p.end, ok = skipTo(doc, pos, '}')
	return p, ok
}

// get returns the value of a key, nil if p lacks it.
func (p *pairOfTexts) get(key string) []byte {
	for i, k := range p.keys {
		if string(k) == key {
			return p.values[i]
		}
	}
	return nil
}

// base64 decodes p into buf if p is the dict of bytes.
func (p *pairOfTexts) base64(buf []byte) (_ []byte, ok bool) {
	data := p.get("data")
	if data == nil || string(p.get("encoding")) != "base64" {
		return buf, false
	}
	if n := base64.StdEncoding.DecodedLen(len(data)); cap(buf) < n {
		buf = make([]byte, n)
	} else {
		buf = buf[:n]
	}
	n, err := base64.StdEncoding.Strict().Decode(buf, data)
	return buf[:n], err == nil
}

// plainText reads a text that has no escapes, no control characters and only ASCII.
func plainText(doc []byte, pos int, single bool) (text []byte, end int, ok bool) {
	pos = skipBlanks(doc, pos)
	if pos == len(doc) || doc[pos] != '"' && (doc[pos] != '\'' || !single) {
		return nil, pos, false
	}
	quote := doc[pos]
	text = doc[pos+1:]
	n := quotedBy(quote).index(text)
	if n == len(text) || text[n] != quote {
		return nil, pos, false
	}
	return text[:n], pos + n + 2, true
}

// blanks are the blanks of both formats, as bits.
const blanks = 1<<' ' | 1<<'\n' | 1<<'\r' | 1<<'\t'

// skipBlanks returns the first position from pos that is not blank.
func skipBlanks(doc []byte, pos int) int {
	for pos < len(doc) && doc[pos] <= ' ' && blanks>>doc[pos]&1 != 0 {
		pos++
	}
	return pos
}

// skipTo skips blanks and the byte c.
func skipTo(doc []byte, pos int, c byte) (end int, ok bool) {
	pos = skipBlanks(doc, pos)
	if pos == len(doc) || doc[pos] != c {
		return pos, false
	}
	return pos + 1, true
}
