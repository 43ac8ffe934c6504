package httpapi

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"

	"clamav-sidecar/sidecar/scan"
)

// scanForm scans every part of a form, one after the other as they come.
func (x *exchange) scanForm(boundary string) {
	if most := x.maxForm(); x.r.ContentLength > most {
		x.refuse(tooLarge, fmt.Sprintf("the form has %d bytes; the limit is %d", x.r.ContentLength, most))
		return
	}
	buf := x.buffers.Get().(*[formBuffer]byte)
	defer x.buffers.Put(buf)
	reader, err := newFormReader(&x.paced, boundary, x.MaxParts, buf[:])
	if err != nil {
		x.refuse(badForm, err.Error())
		return
	}
	form := form{reader: reader}
	for {
		more, err := x.scanPart(&form)
		if err != nil {
			x.answerFormError(&form, err)
			return
		}
		if !more {
			break
		}
	}
	if len(form.files) == 0 {
		x.refuse(noFile, "no part of the form has a file name or content")
		return
	}
	x.answerForm(&form)
}

// maxForm is the length of the longest form that can be scanned: as many files
// as there may be, each as long as it may be. It serves to refuse what cannot
// come to a good end before any of it is read.
func (x *exchange) maxForm() int64 {
	const around = maxPartHeader + maxBoundary + 2*maxPadding
	largest := x.Scanner.MaxFileSize()
	if largest > math.MaxInt64/int64(x.MaxParts)-around {
		return math.MaxInt64
	}
	return int64(x.MaxParts) * (largest + around)
}

// form is a form while it is scanned.
type form struct {
	reader *formReader
	files  []file
	total  scan.Verdict // the worst verdict; Bytes and Duration of all together
}

// scanPart scans the next part. more is false when the form is at its end.
func (x *exchange) scanPart(f *form) (more bool, err error) {
	x.pace() // anew: the scan of the part before may have taken its time
	part, err := f.reader.Next()
	switch {
	case errors.Is(err, io.EOF):
		return false, nil
	case err != nil:
		return false, err
	case part.empty && part.file == "":
		return true, nil // an input of a web form that nothing was put into
	}
	verdict, err := x.Scanner.Scan(x.scanContext(), f.reader, x.options(part.file, 0))
	if err == nil {
		err = x.check(verdict, f.reader.given, f.reader.ended())
	}
	if err != nil {
		if errors.Is(f.reader.err, errForm) {
			err = f.reader.err // says it without what the scanner made of it
		}
		verdict.Outcome = scan.None
		f.add(part, verdict)
		f.files[len(f.files)-1].Detail = x.detail(x.problemOf(err), err)
		return false, err
	}
	f.add(part, verdict)
	return true, nil
}

// add adds a part and the verdict on it.
func (f *form) add(p part, v scan.Verdict) {
	f.files = append(f.files, file{Name: p.file, Field: p.field, finding: newFinding(v)})
	bytes, duration := f.total.Bytes+v.Bytes, f.total.Duration+v.Duration
	if severity(v.Outcome) > severity(f.total.Outcome) || len(f.files) == 1 {
		f.total = v
	}
	f.total.Bytes, f.total.Duration = bytes, duration
}

// severity orders the outcomes of a form's parts: the worst is that of the form.
func severity(o scan.Outcome) int {
	switch o {
	case scan.Infected:
		return 3
	case scan.Unscannable:
		return 2
	case scan.None:
		return 1
	default:
		return 0
	}
}

func (x *exchange) answerForm(f *form) {
	x.answerJSON(statusOf(f.total.Outcome), jsonMedia,
		verdictAnswer{finding: newFinding(f.total), RequestID: x.requestID, Files: f.files})
}

// answerFormError answers for a form that was not scanned to its end. If an
// earlier part was found to be bad, then that decides and not a part that could
// not be scanned. A fault of the upload itself is always told.
func (x *exchange) answerFormError(f *form, err error) {
	kind := x.problemOf(err)
	ofPart := len(f.files) > 0 && f.files[len(f.files)-1].Detail != ""
	switch {
	case !ofPart:
		// No scan has logged it.
		x.logProblem(slog.LevelInfo, kind, x.detail(kind, err))
	case kind == badForm, kind == uploadBroken, kind == uploadStall:
	case severity(f.total.Outcome) > severity(scan.None):
		x.answerForm(f)
		return
	}
	x.answerError(err, f.files)
}
