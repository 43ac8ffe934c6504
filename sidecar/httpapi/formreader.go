package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	// formBuffer is the size of a formReader's buffer, and so the most that is
	// read in one go, in bytes.
	formBuffer = 64 << 10
	// directRead is how much room a caller's buffer must have for the content
	// of a part to be read straight into it.
	directRead = 4 << 10
	// maxPartHeader bounds the header of one part, in bytes, maxPartFields the
	// number of its fields.
	maxPartHeader = 16 << 10
	maxPartFields = 32
	// maxPadding bounds, in bytes, the empty lines before the first boundary,
	// and those behind the last.
	maxPadding = 1 << 10
	// maxBoundary is the length of the longest boundary of RFC 2046.
	maxBoundary = 70
)

// Why a form could not be taken apart. The errors that wrap these say what is
// wrong with it, and are meant for the one who sent it.
var (
	errForm         = errors.New("bad multipart body")
	errTooManyParts = errors.New("too many parts")
)

// formReader takes a multipart/form-data body apart as it comes in. It exists
// beside mime/multipart because that package passes over what a scanner must
// not: text before the first and behind the last boundary, boundaries after a
// bare line feed, within a line, or with white space behind them. What any
// reader could see as the border between two files is an error here unless all
// see it: "--boundary" may be nowhere but between CR LF and CR LF, or "--" at
// the end. In the same spirit a part's header is plain lines, with one
// Content-Disposition: no folding, no bare CR or LF.
//
// It also reads straight into its caller's memory. mime/multipart reads 4 KiB
// at a time, which costs more than all else that HTTP does with a large upload;
// see BenchmarkForm.
//
// Use: Next, then Read up to io.EOF, then Next again, until Next gives io.EOF.
// Only then the body was whole. It is not safe for concurrent use.
type formReader struct {
	src io.Reader
	// delim is "--boundary". The CR LF that has to be in front of it is looked
	// for apart, so that a delimiter without it is seen.
	delim    []byte
	maxParts int

	buf        []byte // of formBuffer bytes
	begin, end int    // buf[begin:end] has been received and not yet read
	srcErr     error  // what src ended with

	parts     int
	given     int64 // bytes of the current part that Read has given
	content   int   // so many of the unread bytes are content of the current part
	delimited bool  // behind that content the unread bytes begin with CR LF and delim
	err       error // what Next or Read failed with; io.EOF: the body is whole
}

// newFormReader reads from src through buf, which must have formBuffer bytes
// and is the reader's for as long as it is used. The error is for a boundary
// that RFC 2046 does not allow.
func newFormReader(src io.Reader, boundary string, maxParts int, buf []byte) (*formReader, error) {
	if boundary == "" || len(boundary) > maxBoundary {
		return nil, fmt.Errorf("%w: the boundary has %d characters; 1 to %d are allowed", errForm, len(boundary), maxBoundary)
	}
	for i := range len(boundary) {
		if !isBoundaryChar(boundary[i]) || boundary[i] == ' ' && i == len(boundary)-1 {
			return nil, fmt.Errorf("%w: the boundary %q has a character that RFC 2046 does not allow there", errForm, boundary)
		}
	}
	return &formReader{src: src, delim: []byte("--" + boundary), maxParts: maxParts, buf: buf[:formBuffer]}, nil
}

func isBoundaryChar(c byte) bool {
	switch {
	case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
		return true
	}
	return strings.IndexByte("'()+_,-./:=? ", c) >= 0
}

// Next goes on to the next part, whose content Read then gives. The content of
// the part before must have been read to its end. io.EOF means that there is no
// further part and that the body came whole.
func (f *formReader) Next() (part, error) {
	if f.err != nil {
		return part{}, f.err
	}
	p, err := f.next()
	if err != nil {
		f.err = err
	}
	return p, err
}

func (f *formReader) next() (part, error) {
	switch {
	case f.parts == 0:
		if err := f.skipPreamble(); err != nil {
			return part{}, err
		}
	case f.ended():
		f.begin += len("\r\n") + len(f.delim)
	default:
		return part{}, errors.New("the part before has not been read to its end")
	}
	f.given, f.delimited = 0, false
	last, err := f.endBoundaryLine()
	if err != nil {
		return part{}, err
	}
	if last {
		return part{}, f.skipEpilogue()
	}
	if f.parts++; f.parts > f.maxParts {
		return part{}, fmt.Errorf("%w: a request may have %d", errTooManyParts, f.maxParts)
	}
	header, err := f.header()
	if err != nil {
		return part{}, err
	}
	p, err := parsePart(header)
	if err != nil {
		return part{}, err
	}
	p.empty, err = f.beginContent()
	return p, err
}

// Read gives the content of the current part, and io.EOF at its end.
func (f *formReader) Read(p []byte) (int, error) {
	for f.content == 0 {
		switch {
		case f.err != nil:
			return 0, f.err
		case f.delimited || f.parts == 0:
			return 0, io.EOF
		case len(p) >= directRead:
			n, err := f.readDirect(p)
			if f.err = err; n > 0 {
				f.given += int64(n)
				return n, nil
			}
		default:
			if f.err = f.fill(); f.err == nil {
				f.content, f.delimited, f.err = f.split(f.buf[f.begin:f.end])
			}
		}
	}
	n := copy(p, f.buf[f.begin:f.begin+f.content])
	f.begin += n
	f.content -= n
	f.given += int64(n)
	return n, nil
}

// ended says whether all content of the current part has been read.
func (f *formReader) ended() bool { return f.content == 0 && f.delimited }

// readDirect reads content from src into p, and what follows the content into
// the buffer, which holds no more than the beginning of a delimiter now.
func (f *formReader) readDirect(p []byte) (int, error) {
	held := copy(p, f.buf[f.begin:f.end])
	n, err := f.readSource(p[held:min(len(p), len(f.buf))])
	window := p[:held+n]
	content, delimited, splitErr := f.split(window)
	f.begin, f.end = 0, copy(f.buf, window[content:])
	f.delimited = delimited
	if splitErr != nil {
		return content, splitErr
	}
	return content, err
}

// split says how many bytes at the front of window are content of the current
// part, and whether CR LF and the delimiter follow them. What may yet become
// that is neither. A delimiter at the very front of a window is one without its
// CR LF, since a CR LF at the end is always held back.
func (f *formReader) split(window []byte) (content int, delimited bool, err error) {
	i := bytes.Index(window, f.delim)
	if i < 0 {
		return f.undecided(window), false, nil
	}
	before, ok := bytes.CutSuffix(window[:i], []byte("\r\n"))
	if !ok {
		return 0, false, fmt.Errorf("%w: part %d has a boundary that does not follow a CR LF of its own", errForm, f.parts)
	}
	return len(before), true, nil
}

// undecided says where in window begins what may become a delimiter, with or
// without CR LF, once more is known.
func (f *formReader) undecided(window []byte) int {
	from := max(len(window)-len(f.delim)+1, 0)
	for from < len(window) && !bytes.HasPrefix(f.delim, window[from:]) {
		from++
	}
	if from == len(window) && bytes.HasSuffix(window, []byte("\r")) {
		return from - 1
	}
	return len(bytes.TrimSuffix(window[:from], []byte("\r\n")))
}

// skipPreamble goes to the first boundary, before which only empty lines may be.
func (f *formReader) skipPreamble() error {
	for range maxPadding / len("\r\n") {
		crlf, err := f.skip("\r\n")
		if err != nil {
			return err
		}
		if crlf {
			continue
		}
		found, err := f.skip(string(f.delim))
		if err == nil && !found {
			err = fmt.Errorf("%w: it does not begin with its boundary %q", errForm, f.delim[len("--"):])
		}
		return err
	}
	return fmt.Errorf("%w: more than %d bytes of empty lines before the first boundary", errForm, maxPadding)
}

// endBoundaryLine reads the rest of a boundary's line; last is the boundary
// that ends the body.
func (f *formReader) endBoundaryLine() (last bool, err error) {
	if last, err = f.skip("--"); err != nil || last {
		return last, err
	}
	crlf, err := f.skip("\r\n")
	if err == nil && !crlf {
		err = fmt.Errorf("%w: there is something behind the boundary in front of part %d", errForm, f.parts+1)
	}
	return false, err
}

// skipEpilogue reads what follows the last boundary, which may be empty lines, up
// to the body's end; its error is io.EOF when all is well.
func (f *formReader) skipEpilogue() error {
	for range maxPadding / len("\r\n") {
		crlf, err := f.skip("\r\n")
		switch {
		case errors.Is(err, errTruncated) && f.begin == f.end:
			return io.EOF
		case err != nil && !errors.Is(err, errTruncated):
			return err
		case !crlf:
			return fmt.Errorf("%w: there is something behind its last boundary", errForm)
		}
	}
	return fmt.Errorf("%w: more than %d bytes of empty lines behind its last boundary", errForm, maxPadding)
}

// skip passes over text if it comes next. It waits for no more than it takes to
// tell.
func (f *formReader) skip(text string) (bool, error) {
	for n := 1; n <= len(text); n++ {
		if err := f.await(n); err != nil {
			return false, err
		}
		if f.buf[f.begin+n-1] != text[n-1] {
			return false, nil
		}
	}
	f.begin += len(text)
	return true, nil
}

// header reads the header of a part and the empty line that ends it. What it
// gives is valid up to the next fill.
func (f *formReader) header() ([]byte, error) {
	for {
		unread := f.buf[f.begin:f.end]
		header, _, ended := bytes.Cut(unread, []byte("\r\n\r\n"))
		switch {
		case bytes.HasPrefix(unread, []byte("\r\n")):
			return nil, fmt.Errorf("%w: part %d has no header", errForm, f.parts)
		case bytes.Contains(header, f.delim):
			return nil, fmt.Errorf("%w: the header of part %d has a boundary in it", errForm, f.parts)
		case len(bytes.TrimRight(header, "\r\n")) > maxPartHeader:
			return nil, fmt.Errorf("%w: the header of part %d is longer than %d bytes", errForm, f.parts, maxPartHeader)
		case ended:
			f.begin += len(header) + len("\r\n\r\n")
			return header, nil
		}
		if err := f.fill(); err != nil {
			return nil, err
		}
	}
}

// beginContent receives enough of a part's content to know whether there is any.
func (f *formReader) beginContent() (empty bool, err error) {
	for {
		f.content, f.delimited, err = f.split(f.buf[f.begin:f.end])
		if err != nil || f.content > 0 || f.delimited {
			return f.content == 0, err
		}
		if err := f.fill(); err != nil {
			return false, err
		}
	}
}

// errTruncated is a body that ends before its last boundary.
var errTruncated = fmt.Errorf("%w: it ends before its last boundary", errForm)

// await makes at least n bytes unread, unless the source ends before.
func (f *formReader) await(n int) error {
	for f.end-f.begin < n {
		if err := f.fill(); err != nil {
			return err
		}
	}
	return nil
}

// fill reads more into the buffer.
func (f *formReader) fill() error {
	if f.begin > 0 {
		f.end = copy(f.buf, f.buf[f.begin:f.end])
		f.begin = 0
	}
	n, err := f.readSource(f.buf[f.end:])
	f.end += n
	return err
}

// readSource reads something from the source. Its error comes with no bytes,
// and is errTruncated at the end: nobody reads on behind a last boundary but
// skipEpilogue.
func (f *formReader) readSource(p []byte) (int, error) {
	for range 100 {
		if f.srcErr != nil {
			break
		}
		n, err := f.src.Read(p)
		f.srcErr = err
		if n > 0 {
			return n, nil
		}
	}
	switch {
	case f.srcErr == nil:
		return 0, io.ErrNoProgress
	case f.srcErr == io.EOF: //nolint:errorlint // an EOF that is wrapped is not the end of the body
		return 0, errTruncated
	}
	return 0, f.srcErr
}
