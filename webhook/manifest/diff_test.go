package manifest_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"clamav-sidecar/webhook/manifest"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestWhatIsPrinted(t *testing.T) {
	inputs, err := manifest.Open([]string{"testdata/input.yaml"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	output := manifest.Inject(injector(), inputs)
	var diff bytes.Buffer
	if err := output.PrintDiff(&diff); err != nil {
		t.Fatal(err)
	}
	for golden, got := range map[string]string{"testdata/injected.yaml": printed(t, output), "testdata/injected.diff": diff.String()} {
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
			t.Errorf("this differs from %s; go test ./webhook/manifest -update writes it anew. got\n%s", golden, got)
		}
	}
}

// checkDiff does what patch(1) does.
func checkDiff(t *testing.T, file manifest.File) {
	t.Helper()
	output := manifest.Output{Files: []manifest.File{file}}
	var diff bytes.Buffer
	if err := output.PrintDiff(&diff); err != nil {
		t.Fatal(err)
	}
	got, err := patched(string(file.Text), diff.String())
	if err != nil || got != string(file.After()) {
		t.Errorf("with its diff (%v)\n%s\nthe text is\n%s\nwant\n%s", err, diff.String(), got, file.After())
	}
}

func patched(text, diff string) (string, error) {
	diff = strings.ReplaceAll(diff, "\n\\ No newline at end of file\n", "\x00")
	before := strings.SplitAfter(text, "\n")
	var after strings.Builder
	at := 0
	for i, line := range strings.SplitAfter(strings.ReplaceAll(diff, "\x00", "\x00\n"), "\n") {
		line = strings.TrimSuffix(line, "\x00\n")
		switch {
		case i < 2 || line == "":
		case line[0] == '@':
			var from, length, to, lengthAfter int
			if _, err := fmt.Sscanf(line, "@@ -%d,%d +%d,%d @@", &from, &length, &to, &lengthAfter); err != nil {
				return "", err
			}
			if length > 0 {
				from--
			}
			for ; at < from; at++ {
				after.WriteString(before[at])
			}
			if want := strings.Count(after.String(), "\n"); lengthAfter > 0 && to-1 != want {
				return "", fmt.Errorf("the hunk is at line %d after, want %d", to-1, want)
			}
		case line[0] == '+':
			after.WriteString(line[1:])
		case before[at] != line[1:]:
			return "", fmt.Errorf("line %d is %q, want %q", at+1, before[at], line[1:])
		default:
			if line[0] == ' ' {
				after.WriteString(line[1:])
			}
			at++
		}
	}
	return after.String() + strings.Join(before[at:], ""), nil
}
