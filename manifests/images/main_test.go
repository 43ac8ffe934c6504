package main

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// created is the time of the commit that the tests' images are made of.
const created = 1700000000

func testRelease() *release {
	return &release{tag: "1.2.3", revision: "0123abc", created: created}
}

// tiny is a product that is built in no time.
func tiny() []product {
	return []product{{name: "tiny", description: "Prints a word", limit: 4 << 20}}
}

// compile builds a main package of the module in directory module for Linux, as
// `make images` does, and returns a directory with DIR/linux-ARCH/NAME.
func compile(t *testing.T, module, pkg string, architectures ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, architecture := range architectures {
		cmd := exec.CommandContext(t.Context(), "go", "build", "-C", module, "-trimpath", "-buildvcs=false",
			"-ldflags", "-s -w", "-o", filepath.Join(dir, "linux-"+architecture)+"/", pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+architecture)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd, err, out)
		}
	}
	return dir
}

// compileTiny builds testdata/tiny for all architectures.
func compileTiny(t *testing.T) string {
	t.Helper()
	return compile(t, ".", "./testdata/tiny", architectures()...)
}

// buildTiny makes the image of testdata/tiny and returns the directory that it is
// in.
func buildTiny(t *testing.T) string {
	t.Helper()
	dir := compileTiny(t)
	if err := build(dir, testRelease(), tiny(), io.Discard); err != nil {
		t.Fatal(err)
	}
	return dir
}

// entry is what a layer says of a file.
type entry struct {
	Name     string
	Mode     int64
	UID, GID int
	Type     byte
	Modified time.Time
	Content  string
}

func entries(t *testing.T, layer v1.Layer) []entry {
	t.Helper()
	content, err := layer.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	var all []entry
	for r := tar.NewReader(content); ; {
		header, err := r.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, entry{header.Name, header.Mode, header.Uid, header.Gid, header.Typeflag, header.ModTime.UTC(), string(body)})
	}
}

func TestImagesThatCannotBeMade(t *testing.T) {
	cases := map[string]struct {
		prepare func(t *testing.T, dir string, products []product) []product
		want    []string
	}{
		"one above its limit is refused, with the excess and what to do": {
			func(_ *testing.T, _ string, products []product) []product {
				products[0].limit = 1000
				return products
			},
			[]string{"the image of tiny for amd64 has ", "more than its limit of 1000", "go version -m"},
		},
		"a binary for another architecture is refused": {
			func(t *testing.T, dir string, products []product) []product {
				if err := os.Rename(filepath.Join(dir, "linux-arm64", "tiny"), filepath.Join(dir, "linux-amd64", "tiny")); err != nil {
					t.Fatal(err)
				}
				return products
			},
			[]string{"was built with GOARCH=arm64, an image needs GOARCH=amd64"},
		},
		"a file that is no Go program is refused": {
			func(t *testing.T, dir string, products []product) []product {
				if err := os.WriteFile(filepath.Join(dir, "linux-arm64", "tiny"), []byte("#!/bin/sh\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				return products
			},
			[]string{"failed to read the build information of", filepath.Join("linux-arm64", "tiny")},
		},
		"a binary that is missing is named": {
			func(_ *testing.T, _ string, _ []product) []product { return []product{{name: "absent"}} },
			[]string{filepath.Join("linux-amd64", "absent")},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir := compileTiny(t)
			err := build(dir, testRelease(), c.prepare(t, dir, tiny()), io.Discard)
			if err == nil {
				t.Fatal("got no error")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got the error %q, want %q in it", err, want)
				}
			}
			if _, err := os.Stat(filepath.Join(dir, "tiny")); !os.IsNotExist(err) {
				t.Errorf("there is an image, or looking for it failed: %v", err)
			}
		})
	}
}

func TestATagThatNoImageCanHaveIsRefused(t *testing.T) {
	dir := compileTiny(t)
	for _, tag := range []string{"", "not a tag"} {
		t.Run(tag, func(t *testing.T) {
			release := testRelease()
			release.tag = tag
			err := build(dir, release, tiny(), io.Discard)
			if err == nil || !strings.Contains(err.Error(), "set another TAG") {
				t.Errorf("got the error %v, want one that says to set another TAG", err)
			}
		})
	}
}

func TestTwoBuildsAreEqual(t *testing.T) {
	first, second := buildTiny(t), buildTiny(t)
	var compared int
	err := filepath.WalkDir(first, func(path string, file os.DirEntry, err error) error {
		if err != nil || file.IsDir() {
			return err
		}
		relative, err := filepath.Rel(first, path)
		if err != nil {
			return err
		}
		a, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		b, err := os.ReadFile(filepath.Join(second, relative))
		if err != nil {
			return err
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs between two builds", relative)
		}
		compared++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// Two binaries, two archives, two bills; in the layout its two files, the
	// index, and three blobs for each image and each bill, which share one.
	if want := 6 + 2 + 1 + 11; compared != want {
		t.Errorf("compared %d files, want %d", compared, want)
	}
}

func TestTheTableNamesWhatWasMade(t *testing.T) {
	dir := compileTiny(t)
	var out bytes.Buffer
	if err := build(dir, testRelease(), tiny(), &out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 4 {
		t.Fatalf("got the table\n%s\nwant a head and three lines", &out)
	}
	for i, platform := range []string{"linux/amd64", "linux/arm64", "all"} {
		if want := fmt.Sprintf("localhost/clamav-sidecar/tiny:1.2.3  %-11s  sha256:", platform); !strings.HasPrefix(lines[i+1], want) {
			t.Errorf("got line %q, want it to start with %q", lines[i+1], want)
		}
	}
}

func TestCommandLinesThatMakeNoSenseAreRefused(t *testing.T) {
	for name, args := range map[string][]string{
		"no command":         nil,
		"an unknown command": {"bake"},
		"an unknown flag":    {"build", "-colour", "red"},
		"no root filesystem": {"test-clamd", "-tag", "1"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := run(context.Background(), args, io.Discard, io.Discard); err != errUsage {
				t.Errorf("got %v, want %v", err, errUsage)
			}
		})
	}
}
