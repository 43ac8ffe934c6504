package edit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/go-json-experiment/json/jsontext"
	"go.yaml.in/yaml/v3"
	kubeyaml "sigs.k8s.io/yaml"

	"clamav-sidecar/webhook/inject"
)

// Format of a document.
type Format int

// The formats. A JSON document that is read as YAML is YAML in flow style.
const (
	YAML Format = iota
	JSON
)

// Document is one document, or none: comments and blank lines only.
type Document struct {
	text   []byte
	format Format
	line   int // of its first one, in messages
	value  []byte
	root   *yaml.Node // of YAML
}

// Error is a fault in a document. A Line of 0 is unknown.
type Error struct {
	Line int
	Text string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Text
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.Text)
}

// Read reads a document, which it keeps and does not change. It must be UTF-8
// without a byte order mark. Line is the number of its first line, for messages.
func Read(text []byte, format Format, line int) (*Document, error) {
	d := &Document{text: text, format: format, line: line}
	if err := d.read(); err != nil {
		return nil, d.inInput(err)
	}
	return d, nil
}

// inInput makes lines of the document those of what it stands in.
func (d *Document) inInput(err error) error {
	var fault *Error
	if errors.As(err, &fault) && fault.Line > 0 {
		return &Error{fault.Line + d.line - 1, fault.Text}
	}
	return err
}

func (d *Document) read() (err error) {
	if d.format == YAML {
		if err := d.parse(); err != nil {
			return err
		}
	}
	if !d.Empty() {
		d.value, err = valueOf(d.text, d.format)
	}
	return err
}

// parse reads the nodes, and sees to it that nothing big can come of them.
func (d *Document) parse() error {
	var document, second yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(d.text))
	err := decoder.Decode(&document)
	if errors.Is(err, io.EOF) || err == nil && document.Content[0].Tag == "!!null" {
		return nil
	}
	if err != nil {
		return fromLibrary(err)
	}
	if err := decoder.Decode(&second); err == nil {
		return &Error{second.Line, "a second document begins without a line --- of its own"}
	} else if !errors.Is(err, io.EOF) {
		return fromLibrary(err)
	}
	d.root = document.Content[0]
	if err := bound(d.root); err != nil {
		return err
	}
	return distinct(d.root)
}

// Empty tells whether there is nothing in the document, or null, which kubectl
// takes for nothing.
func (d *Document) Empty() bool { return d.format == YAML && d.root == nil }

// JSON is what kubectl makes of the document; nil of an empty one.
func (d *Document) JSON() []byte { return d.value }

// valueOf reads as kubectl does, YAML 1.1 with merge keys, but for duplicate
// keys, which it refuses.
func valueOf(text []byte, format Format) ([]byte, error) {
	if format == JSON {
		value := jsontext.Value(bytes.Clone(text))
		if err := value.Compact(); err != nil {
			return nil, &Error{Text: err.Error()}
		}
		return value, nil
	}
	value, err := kubeyaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, fromLibrary(err)
	}
	return value, nil
}

// inLibrary finds the line in an error of the YAML library.
var inLibrary = regexp.MustCompile(`^line (\d+): (.*)$`)

func fromLibrary(err error) error {
	message := strings.TrimPrefix(err.Error(), "error converting YAML to JSON: ")
	message = strings.TrimPrefix(message, "yaml: ")
	message = strings.TrimPrefix(message, "unmarshal errors:\n  ")
	first, _, _ := strings.Cut(message, "\n")
	found := inLibrary.FindStringSubmatch(first)
	if found == nil {
		return &Error{Text: message}
	}
	line, err := strconv.Atoi(found[1])
	if err != nil {
		return &Error{Text: message}
	}
	return &Error{line, found[2]}
}

// Change gives what is to be done to the text so that it says what the
// operations make of it. The document itself stays as it was read.
func (d *Document) Change(patch inject.Patch) ([]Splice, error) {
	if len(patch) == 0 {
		return nil, nil
	}
	t, err := d.tree()
	if err != nil {
		return nil, err
	}
	for _, operation := range patch {
		if err := t.apply(operation); err != nil {
			return nil, d.inInput(err)
		}
	}
	splices, err := t.splices()
	if err != nil {
		return nil, err
	}
	return splices, d.verify(patch, splices)
}

func (d *Document) tree() (*tree, error) {
	if d.format == JSON {
		return jsonTree(d.text)
	}
	return yamlTree(d.text, d.root, d.line)
}

// errDiffers is not for a user to mend, but the text stays as it was.
var errDiffers = errors.New("this document is written in a way that cannot be changed in place; " +
	"write it out in block style, such as kubectl create --dry-run=client -o yaml prints it")

// verify reads the changed text again.
func (d *Document) verify(patch inject.Patch, splices []Splice) error {
	operations, err := jsonpatch.DecodePatch(patch.JSON())
	if err != nil {
		return fmt.Errorf("failed to read the operations: %w", err)
	}
	want, err := operations.Apply(d.value)
	if err != nil {
		return fmt.Errorf("failed to apply the operations: %w", err)
	}
	changed, err := Read(Apply(d.text, splices), d.format, d.line)
	if err != nil || changed.Empty() || !equal(changed.value, want) {
		return errDiffers
	}
	return nil
}

// equal compares JSON; the order of members does not count.
func equal(a, b []byte) bool {
	var values [2]any
	for i, text := range [][]byte{a, b} {
		decoder := json.NewDecoder(bytes.NewReader(text))
		decoder.UseNumber()
		if decoder.Decode(&values[i]) != nil {
			return false
		}
	}
	return reflect.DeepEqual(values[0], values[1])
}
