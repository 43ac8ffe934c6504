package manifest

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// MaxSize of all inputs together, in bytes. It bounds the memory, of which
// reading takes many times as much.
const MaxSize = 64 << 20

// Input is a text with any number of documents.
type Input struct {
	Name string // for messages
	Text []byte
}

// stdin is the name for standard input, for Open and in messages.
const (
	stdin     = "-"
	stdinName = "standard input"
)

// Open reads files, "-" for standard input, and, as kubectl does, the .yaml, .yml
// and .json files of directories, without those of directories in them.
func Open(names []string, standardInput io.Reader) ([]Input, error) {
	var inputs []Input
	left := int64(MaxSize)
	read := func(name string, r io.Reader) error {
		text, err := io.ReadAll(io.LimitReader(r, left+1))
		if err != nil {
			return fmt.Errorf("failed to read %s: %w", name, err)
		}
		if left -= int64(len(text)); left < 0 {
			return fmt.Errorf("failed to read %s: more than %d MiB of manifests; give fewer at a time", name, MaxSize>>20)
		}
		inputs = append(inputs, Input{name, text})
		return nil
	}
	for _, name := range names {
		if name == stdin {
			if err := read(stdinName, standardInput); err != nil {
				return nil, err
			}
			continue
		}
		paths, err := filesOf(name)
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			if err := readFile(path, read); err != nil {
				return nil, err
			}
		}
	}
	return inputs, nil
}

func readFile(path string, read func(string, io.Reader) error) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("failed to read a manifest: %w", err)
	}
	defer file.Close()
	return read(path, file)
}

// filesOf gives the manifests of a directory, or the file itself.
func filesOf(name string) ([]string, error) {
	if strings.HasPrefix(name, "http://") || strings.HasPrefix(name, "https://") {
		return nil, fmt.Errorf("failed to read %s: want a file; get it with another program, and give it to -f -", name)
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("failed to read a manifest: %w", err)
	}
	if !info.IsDir() {
		return []string{name}, nil
	}
	entries, err := os.ReadDir(name)
	if err != nil {
		return nil, fmt.Errorf("failed to read a directory: %w", err)
	}
	var paths []string
	for _, entry := range entries {
		if !entry.IsDir() && slices.Contains([]string{".json", ".yaml", ".yml"}, filepath.Ext(entry.Name())) {
			paths = append(paths, filepath.Join(name, entry.Name()))
		}
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("failed to read %s: it has no .yaml, .yml or .json file", name)
	}
	return paths, nil
}
