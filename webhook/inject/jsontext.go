package inject

import (
	"encoding/json"
	"fmt"
)

// marshal is for our own values, which always can be.
func marshal(value any) json.RawMessage {
	text, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("failed to marshal %T: %v", value, err))
	}
	return text
}

// object writes a JSON object of one or more members.
func object(members ...member) json.RawMessage {
	b := []byte{'{'}
	for i, m := range members {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(quote(b, m.name), ':'), m.value...)
	}
	return append(b, '}')
}

type member struct {
	name  string
	value json.RawMessage
}

// array writes a JSON array.
func array(items []json.RawMessage) json.RawMessage {
	b := []byte{'['}
	for i, item := range items {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, item...)
	}
	return append(b, ']')
}
