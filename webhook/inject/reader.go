package inject

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// reader reads a JSON document field by field, without making values of the
// fields that nobody asks for. It checks the syntax of all that it passes,
// duplicate names included; errors name the place as a JSON pointer.
type reader struct{ *jsontext.Decoder }

func newReader(document []byte) reader {
	return reader{jsontext.NewDecoder(bytes.NewBuffer(document))}
}

// object calls member for each member of the object that comes next, which
// reads the value if it knows the key. The key is good until then. null has no
// members.
func (r reader) object(member func(r reader, key []byte) (known bool, err error)) error {
	if null, err := r.begin('{', "an object"); null || err != nil {
		return err
	}
	for r.PeekKind() != '}' {
		key, err := r.ReadValue()
		if err != nil {
			return err
		}
		known, err := member(r, unquote(key))
		if err == nil && !known {
			err = r.SkipValue()
		}
		if err != nil {
			return err
		}
	}
	_, err := r.ReadToken()
	return err
}

// array calls item before each item of the array that comes next, to read it.
// null has no items.
func (r reader) array(item func(r reader) error) error {
	if null, err := r.begin('[', "a list"); null || err != nil {
		return err
	}
	for r.PeekKind() != ']' {
		if err := item(r); err != nil {
			return err
		}
	}
	_, err := r.ReadToken()
	return err
}

// begin reads a '{' or '[', or null.
func (r reader) begin(bracket jsontext.Kind, want string) (null bool, err error) {
	kind := r.PeekKind()
	if kind != bracket && kind != 'n' {
		return false, r.mismatch(want)
	}
	_, err = r.ReadToken()
	return kind == 'n', err
}

// text reads a string; null leaves the target as it is, as everywhere in
// Kubernetes.
func (r reader) text(target *string) error {
	raw, err := r.scalar('"', "a string, in quotes")
	if raw != nil {
		*target = string(unquote(raw))
	}
	return err
}

// textIf reads a string if the condition holds, and nothing otherwise.
func (r reader) textIf(condition bool, target *string) error {
	if !condition {
		return nil
	}
	return r.text(target)
}

// oneOf reads a string and keeps it if it is among those wanted.
func (r reader) oneOf(target *string, wanted ...string) error {
	raw, err := r.scalar('"', "a string, in quotes")
	if err != nil || raw == nil {
		return err
	}
	text := unquote(raw)
	for _, want := range wanted {
		if string(text) == want {
			*target = want
		}
	}
	return nil
}

// raw reads any value but null as it is written.
func (r reader) raw(target *string) error {
	value, err := r.ReadValue()
	if err == nil && value.Kind() != 'n' {
		*target = string(value)
	}
	return err
}

func (r reader) boolean(target *bool) error {
	kind := r.PeekKind()
	if kind != 't' && kind != 'f' && kind != 'n' {
		return r.mismatch("true or false")
	}
	_, err := r.ReadToken()
	*target = kind == 't'
	return err
}

func (r reader) integer(target *int64) error {
	raw, err := r.scalar('0', "a number")
	if raw == nil {
		return err
	}
	number, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil {
		return fmt.Errorf("%s: want a whole number: %w", r.StackPointer(), err)
	}
	*target = number
	return nil
}

// scalar reads a value of this kind; nil is null. It is good until the next
// reading.
func (r reader) scalar(kind jsontext.Kind, want string) (jsontext.Value, error) {
	switch r.PeekKind() {
	case kind:
		return r.ReadValue()
	case 'n':
		_, err := r.ReadToken()
		return nil, err
	}
	return nil, r.mismatch(want)
}

// mismatch is the error for a value that is of another kind, or no JSON at all.
func (r reader) mismatch(want string) error {
	value, err := r.ReadValue()
	if err != nil {
		return err
	}
	return fmt.Errorf("%s: want %s, not %s", r.StackPointer(), want, clip(string(value)))
}

// unquote gives the text of a JSON string, of the same memory where nothing in
// it is escaped.
func unquote(raw []byte) []byte {
	if bytes.IndexByte(raw, '\\') < 0 && len(raw) >= 2 {
		return raw[1 : len(raw)-1]
	}
	text, _ := jsontext.AppendUnquote(nil, raw) // the decoder has checked it
	return text
}

// readList reads a list of objects, member by member. None may be null: an
// operation cannot add to it.
func readList[T any](r reader, l *list[T], member func(item *T, r reader, key []byte) (known bool, err error)) error {
	l.present = r.PeekKind() == '['
	return r.array(func(r reader) error {
		if r.PeekKind() != '{' {
			return r.mismatch("an object")
		}
		var item T
		err := r.object(func(r reader, key []byte) (bool, error) { return member(&item, r, key) })
		l.items = append(l.items, item)
		l.length++
		return err
	})
}
