package options

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestHelpTellsAllFlags(t *testing.T) {
	got := Help()
	golden := filepath.Join("testdata", "help.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the help differs from %s; go test ./cmd/sidecar/options -update writes it anew. got\n%s", golden, got)
	}
	for number, line := range strings.Split(got, "\n") {
		if len(line) > 100 {
			t.Errorf("line %d has %d columns, want at most 100: %s", number+1, len(line), line)
		}
	}
}

func TestEveryFlagIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../../docs/sidecar.md")
	if err != nil {
		t.Fatal(err)
	}
	opts := defaults()
	for _, s := range opts.settings() {
		row := fmt.Sprintf("\n| `--%s` | `%s` | `%s` |", s.name, envName(s.name), s.value)
		if !strings.Contains(string(text), row) {
			t.Errorf("docs/sidecar.md has no row that begins with %q", row[1:])
		}
	}
}
