package manifest

import (
	"bytes"
	"fmt"
	"io"

	"clamav-sidecar/webhook/manifest/edit"
)

// After is the text of the file with its changes.
func (f *File) After() []byte { return edit.Apply(f.Text, f.Splices) }

// Print writes all files, one behind the other, with lines --- between them
// unless all of them are JSON. A single file is written as it is.
func (o *Output) Print(w io.Writer) error {
	var all bytes.Buffer
	yaml := false
	for i := range o.Files {
		yaml = yaml || !bytes.HasPrefix(bytes.TrimSpace(o.Files[i].Text), []byte("{"))
	}
	for i := range o.Files {
		text := o.Files[i].After()
		if i > 0 {
			text = bytes.TrimPrefix(text, byteOrderMark)
		}
		if len(o.Files) > 1 && yaml && !bytes.HasPrefix(text, []byte("---")) {
			all.WriteString("---\n")
		}
		all.Write(text)
		if i+1 < len(o.Files) && len(text) > 0 && !bytes.HasSuffix(text, []byte("\n")) {
			all.WriteByte('\n')
		}
	}
	if _, err := w.Write(all.Bytes()); err != nil {
		return fmt.Errorf("failed to print the manifests: %w", err)
	}
	return nil
}

// PrintDiff writes the changes of all files as unified diffs, for people and for
// patch(1). It writes nothing of a file without a change.
func (o *Output) PrintDiff(w io.Writer) error {
	for i := range o.Files {
		f := &o.Files[i]
		if len(f.Splices) == 0 {
			continue
		}
		if _, err := w.Write(unified(f)); err != nil {
			return fmt.Errorf("failed to print the changes: %w", err)
		}
	}
	return nil
}
