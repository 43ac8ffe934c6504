package edit_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"clamav-sidecar/webhook/inject"
	"clamav-sidecar/webhook/manifest/edit"
)

// add and remove are operations.
func add(path, value string) inject.Operation {
	return inject.Operation{Op: "add", Path: path, Value: json.RawMessage(value)}
}

func remove(path string) inject.Operation { return inject.Operation{Op: "remove", Path: path} }

func TestChangesTouchNothingElse(t *testing.T) {
	tests := map[string]struct {
		text  string
		patch inject.Patch
		want  string
	}{
		"an item goes behind the last one, before the comments and blank lines of what follows": {
			"a:\n  - x # of x\n\n# of b\nb: 1\n", inject.Patch{add("/a/-", `{"k":"v","l":[1]}`)},
			"a:\n  - x # of x\n  - k: v\n    l:\n      - 1\n\n# of b\nb: 1\n"},
		"lists without indentation stay so": {
			"a:\n- x\nb: 1\n", inject.Patch{add("/a/-", `"w"`), add("/c", `["z"]`)},
			"a:\n- x\n- w\nb: 1\nc:\n- z\n"},
		"four spaces stay four": {
			"a:\n    b:\n        c: 1\n", inject.Patch{add("/a/d", `{"e":{"f":true}}`)},
			"a:\n    b:\n        c: 1\n    d:\n        e:\n            f: true\n"},
		"a first item goes between the key and the comment of the second": {
			"a: # list\n\n  # of x\n  - x\n", inject.Patch{add("/a/0", `"w"`)},
			"a: # list\n  - w\n\n  # of x\n  - x\n"},
		"an empty list becomes one in block style and keeps its comment": {
			"a:\n  b: [] # none\n  c: 1\n", inject.Patch{add("/a/b/-", `"x"`)},
			"a:\n  b: # none\n    - x\n  c: 1\n"},
		"a list that loses its last item is written as an empty one": {
			"a:\n  b: # none\n    - x\n  c: 1\n", inject.Patch{remove("/a/b/0")},
			"a:\n  b: [] # none\n  c: 1\n"},
		"a key without a value gets one": {
			"a:\n  b: # nothing\n  c: ~\n", inject.Patch{add("/a/b", `{"x":"1"}`), add("/a/c", `"y"`)},
			"a:\n  b: # nothing\n    x: \"1\"\n  c: \"y\"\n"},
		"a list in flow style stays so": {
			"a: [x, {k: v}] # two\nb: {c: d}\n", inject.Patch{add("/a/-", `{"l":"w"}`), add("/a/0", `"z"`), add("/b/e", `"f"`)},
			"a: [\"z\", x, {k: v}, {\"l\":\"w\"}] # two\nb: {c: d,\"e\":\"f\"}\n"},
		"a block scalar ends before the comment below it, and keeps its own hash signs": {
			"a:\n  b: |\n    # text\n\n    more\n  # comment\nc: 1\n", inject.Patch{add("/a/d", `1`)},
			"a:\n  b: |\n    # text\n\n    more\n  d: 1\n  # comment\nc: 1\n"},
		"a block scalar that keeps its last line ends behind them": {
			"a:\n  b: |+\n    text\n\n\nc: 1\n", inject.Patch{add("/a/d", `1`)},
			"a:\n  b: |+\n    text\n\n\n  d: 1\nc: 1\n"},
		"a block scalar may begin with spaces": {
			"a:\n  b: |2\n      text\n    more\n", inject.Patch{add("/a/d", `1`)},
			"a:\n  b: |2\n      text\n    more\n  d: 1\n"},
		"a text of several lines is passed": {
			"a:\n  b: one\n    two\n\n    three\n  'c ''d': \"x\\\" \\\n    y\"\n", inject.Patch{add("/a/e", `1`)},
			"a:\n  b: one\n    two\n\n    three\n  'c ''d': \"x\\\" \\\n    y\"\n  e: 1\n"},
		"letters of several bytes are passed": {
			"\"ключ\": {й: ü}\na: [é]\n", inject.Patch{add("/a/-", `"x"`)},
			"\"ключ\": {й: ü}\na: [é,\"x\"]\n"},
		"lines that end with CR LF stay so": {
			"a:\r\n  - x\r\nb: 1\r\n", inject.Patch{add("/a/-", `{"k":"v","l":1}`)},
			"a:\r\n  - x\r\n  - k: v\r\n    l: 1\r\nb: 1\r\n"},
		"a text without an end of its last line gets none": {
			"a:\n  - x", inject.Patch{add("/a/-", `"w"`), add("/b", `1`)}, "a:\n  - x\n  - w\nb: 1"},
		"and keeps none when that line goes": {
			"a:\n  - x\n  - y\nb: 1", inject.Patch{remove("/a/1"), remove("/b")}, "a:\n  - x"},
		"a key behind a dash can go": {
			"- env: [x]\n  image: y\n- z\n", inject.Patch{remove("/0/env")}, "- image: y\n- z\n"},
		"values that are new can be changed again": {
			"a: {}\n", inject.Patch{add("/b", `{"c":[]}`), add("/b/c/-", `1`), add("/b/d", `"on"`), add("/a/x~1y~0", `"z"`)},
			"a:\n  \"x/y~\": z\nb:\n  c:\n    - 1\n  d: \"on\"\n"},
		"anchors that nothing uses, and aliases elsewhere, do no harm": {
			"a: &a\n  - x\nb: &b 1\nc: *b\nd: !!map {}\n", inject.Patch{add("/a/-", `"w"`), add("/d/e", `1`)},
			"a: &a\n  - x\n  - w\nb: &b 1\nc: *b\nd: !!map\n  e: 1\n"},
		"the document may end before its text": {
			"a: 1\n...\n# end\n", inject.Patch{add("/b", `2`)}, "a: 1\nb: 2\n...\n# end\n"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { checkChange(t, test.text, edit.YAML, test.patch, test.want) })
	}
}

func TestChangesOfJSONKeepItsLayout(t *testing.T) {
	tests := map[string]struct {
		text  string
		patch inject.Patch
		want  string
	}{
		"one line": {
			`{"a":{"b":[]},"c":[1]}`, inject.Patch{add("/a/b/-", `{"x":"y"}`), add("/a/d", `2`), add("/c/-", `3`), add("/c/0", `0`)},
			`{"a":{"b":[{"x":"y"}],"d":2},"c":[0,1,3]}`},
		"lines": {
			"{\n  \"a\": {\n    \"b\": []\n  },\n  \"c\": [\n    1\n  ]\n}\n",
			inject.Patch{add("/a/b/-", `{"x":"y"}`), add("/a/d", `[2]`), add("/c/-", `3`), add("/c/0", `{"z":0}`)},
			"{\n  \"a\": {\n    \"b\": [\n      {\n        \"x\": \"y\"\n      }\n    ],\n    \"d\": [\n      2\n    ]\n  },\n" +
				"  \"c\": [\n    {\n      \"z\": 0\n    },\n    1,\n    3\n  ]\n}\n"},
		"tabs": {
			"{\n\t\"a\": {\n\t\t\"b\": 1\n\t}\n}", inject.Patch{add("/a/c", `{"d":1}`)},
			"{\n\t\"a\": {\n\t\t\"b\": 1,\n\t\t\"c\": {\n\t\t\t\"d\": 1\n\t\t}\n\t}\n}"},
		"what is removed takes its comma along": {
			`{"a": [1, 2, 3], "b": {"c": 1}, "d": [9, 8]}`,
			inject.Patch{remove("/a/2"), remove("/a/0"), remove("/b/c"), remove("/d/1")},
			`{"a": [2], "b": {}, "d": [9]}`},
		"numbers and escapes are not rewritten": {
			`{"a": 1.0e0, "b": "\u00e9\/", "c": 12345678901234567890}`, inject.Patch{add("/d", `null`), add("/e", `""`)},
			`{"a": 1.0e0, "b": "\u00e9\/", "c": 12345678901234567890, "d":null, "e":""}`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { checkChange(t, test.text, edit.JSON, test.patch, test.want) })
	}
}

func checkChange(t *testing.T, text string, format edit.Format, patch inject.Patch, want string) {
	t.Helper()
	document, err := edit.Read([]byte(text), format, 1)
	if err != nil {
		t.Fatal(err)
	}
	splices, err := document.Change(patch)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(edit.Apply([]byte(text), splices)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestWhatOtherPlacesShareIsNotChanged(t *testing.T) {
	tests := map[string]struct {
		text, path string
		want       edit.Error
	}{
		"an alias": {
			"a: &x [1]\nb: *x\n", "/b/-",
			edit.Error{Line: 2, Text: "*x is the same as in line 1, which would change too; write it out here"}},
		"an anchor with an alias": {
			"a: &x [1]\nb: *x\n", "/a/-",
			edit.Error{Line: 1, Text: "&x is used in line 2 too, which would change too; write it out there"}},
		"a place below an anchor": {
			"a: &x\n  c: [1]\nb: *x\n", "/a/c/-",
			edit.Error{Line: 2, Text: "&x is used in line 3 too, which would change too; write it out there"}},
		"what a merge brings in": {
			"a: &x\n  c: [1]\nb:\n  <<: *x\n", "/b/c/-",
			edit.Error{Line: 4, Text: "c comes from elsewhere by <<, and would be changed there too; write it out here"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			document, err := edit.Read([]byte(test.text), edit.YAML, 1)
			if err != nil {
				t.Fatal(err)
			}
			_, err = document.Change(inject.Patch{add(test.path, `2`)})
			var fault *edit.Error
			if !errors.As(err, &fault) || *fault != test.want {
				t.Errorf("got %v, want %v", err, &test.want)
			}
		})
	}
}

func TestDocumentsThatAreRefused(t *testing.T) {
	tests := map[string]struct {
		text, want string
	}{
		"a duplicate key":                   {"a: 1\nb:\n  c: 1\n  c: 2\n", `line 4: key "c" already set in map`},
		"a duplicate key by YAML 1.1":       {"on: 1\nyes: 2\n", `line 2: key "true" already set in map`},
		"keys that JSON cannot tell apart":  {"a: {1: x, \"1\": y}\n", `line 1: key "1" already set in map`},
		"bad syntax":                        {"a: 1\n b: 2\n", "line 2: mapping values are not allowed in this context"},
		"an unknown alias":                  {"a: *x\n", "unknown anchor 'x' referenced"},
		"a second document":                 {"a: 1\n...\nb: 2\n", "line 2: did not find expected <document start>"},
		"a second document with directives": {"a: 1\n...\n%YAML 1.1\n---\nb: 2\n", "line 3: a second document begins without a line --- of its own"},
		"an anchor in itself":               {"a: &x\n  - *x\n", "line 2: the anchor x contains itself"},
		"deep nesting":                      {strings.Repeat("[", 2000) + strings.Repeat("]", 2000), "line 1: more than 1000 levels deep"},
		"deep nesting by aliases": {
			"a: &a " + strings.Repeat("[", 600) + strings.Repeat("]", 600) + "\nb: " +
				strings.Repeat("[", 600) + "*a" + strings.Repeat("]", 600), "line 2: more than 1000 levels deep"},
		"aliases that make much of little": {bomb(), "line 7: with its aliases written out this is larger than 64 MiB"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := edit.Read([]byte(test.text), edit.YAML, 1)
			if err == nil || err.Error() != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}

// bomb has nine levels of ten aliases each.
func bomb() string {
	var b strings.Builder
	b.WriteString("a0: &a0 " + strings.Repeat("x", 100) + "\n")
	for i := range 9 {
		name, below := string(rune('1'+i)), string(rune('0'+i))
		b.WriteString("a" + name + ": &a" + name + " [" + strings.Repeat("*a"+below+",", 10) + "]\n")
	}
	return b.String()
}

func TestDocumentsWithNothingInThemAreEmpty(t *testing.T) {
	for _, text := range []string{"", "\n\n", "# comment\n", "\r\n# x\r\n", "null # kubectl skips it\n", "--- \n"} {
		document, err := edit.Read([]byte(text), edit.YAML, 1)
		if err != nil || !document.Empty() {
			t.Errorf("%q: got %v, want an empty document", text, err)
		}
	}
}
