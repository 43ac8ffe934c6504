package manifest

import "fmt"

// Message is a fault or a warning.
type Message struct {
	// Place is the input, the document and the object.
	Place string
	Text  string
}

func (m Message) String() string { return m.Place + ": " + m.Text }

func (d *document) place() string {
	return fmt.Sprintf("%s, document %d (line %d)", d.input.Name, d.number, d.line)
}
