package manifest_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"clamav-sidecar/webhook/manifest"
)

func TestFilesAndDirectoriesAndStandardInputAreOpened(t *testing.T) {
	directory := t.TempDir()
	for _, name := range []string{"b.yaml", "a.yml", "c.json", "notes.txt", "sub.yaml/d.yaml"} {
		path := filepath.Join(directory, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	inputs, err := manifest.Open([]string{"-", directory, filepath.Join(directory, "notes.txt")}, strings.NewReader("in"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, input := range inputs {
		got = append(got, filepath.Base(input.Name)+"="+string(input.Text))
	}
	want := []string{"standard input=in", "a.yml=a.yml", "b.yaml=b.yaml", "c.json=c.json", "notes.txt=notes.txt"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWhatCannotBeOpened(t *testing.T) {
	empty := t.TempDir()
	tests := map[string]struct{ name, want string }{
		"a file that is not there":          {"none.yaml", "failed to read a manifest: stat none.yaml: no such file or directory"},
		"a directory without manifests":     {empty, "failed to read " + empty + ": it has no .yaml, .yml or .json file"},
		"an address":                        {"https://example.com/a.yaml", "failed to read https://example.com/a.yaml: want a file; get it with another program, and give it to -f -"},
		"more than fits, on standard input": {"-", "failed to read standard input: more than 64 MiB of manifests; give fewer at a time"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := manifest.Open([]string{test.name}, strings.NewReader(strings.Repeat(" ", manifest.MaxSize+1)))
			if err == nil || err.Error() != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}
