package docs

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const chart = "manifests/chart/clamav-sidecar"

// pages are all pages of the repository, but those of what is built or installed
// into it.
func pages(t *testing.T) map[string]page {
	t.Helper()
	found := map[string]page{}
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			switch name := entry.Name(); {
			case file != root && strings.HasPrefix(name, "."), name == "bin", name == "dist", name == "node_modules", name == "testdata":
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(file) != ".md" {
			return nil
		}
		relative, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		relative = filepath.ToSlash(relative)
		found[relative], err = read(relative)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 8 {
		t.Fatalf("found only %d pages", len(found))
	}
	return found
}

func TestLinksLeadToFilesAndHeadingsThatExist(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	all := pages(t)
	for _, p := range all {
		for _, match := range link.FindAllStringSubmatch(p.prose, -1) {
			if strings.Contains(match[1], "://") {
				continue
			}
			checkLink(t, all, p.path, match[1])
		}
	}
}

// checkLink checks one from the page, or another file, at a path from the root.
func checkLink(t *testing.T, all map[string]page, from, link string) {
	t.Helper()
	file, fragment, _ := strings.Cut(link, "#")
	target := from
	if file != "" {
		target = path.Join(path.Dir(from), file)
	}
	if _, err := os.Stat(at(target)); err != nil {
		t.Errorf("%s: link %s: no file %s", from, link, target)
		return
	}
	if fragment != "" && !all[target].anchors[fragment] {
		t.Errorf("%s: link %s: %s has no such heading", from, link, target)
	}
}

func TestRunbooksOfAlertsAreSectionsOfTheDocumentation(t *testing.T) {
	rules, err := os.ReadFile(at(chart + "/files/rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	all := pages(t)
	runbooks := regexp.MustCompile(`(?m)runbook: (\S+)$`).FindAllStringSubmatch(string(rules), -1)
	alerts := regexp.MustCompile(`(?m)- alert: (\S+)$`).FindAllStringSubmatch(string(rules), -1)
	if len(runbooks) != len(alerts) || len(alerts) == 0 {
		t.Errorf("%d alerts have %d runbooks, want one each", len(alerts), len(runbooks))
	}
	for _, match := range alerts {
		if !strings.Contains(all["docs/operating.md"].prose, match[1]) {
			t.Errorf("docs/operating.md does not name the alert %s", match[1])
		}
	}
	for _, match := range runbooks {
		checkLink(t, all, "rules.yaml", match[1]) // they are written as from the root
	}
}

func TestCommandsNameTargetsOfTheMakefile(t *testing.T) {
	makefile, err := os.ReadFile(at("Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	targets := map[string]bool{"": true} // make alone lists them
	for _, match := range regexp.MustCompile(`(?m)^([a-z0-9-]+):`).FindAllStringSubmatch(string(makefile), -1) {
		targets[match[1]] = true
	}
	command := regexp.MustCompile(`(?:^|[\s;&(])make(?: +([a-z][a-z0-9-]*)|$)`)
	named := 0
	for _, p := range pages(t) {
		for _, line := range append(strings.Split(p.code, "\n"), p.spans...) {
			for _, match := range command.FindAllStringSubmatch(line, -1) {
				named++
				if !targets[match[1]] {
					t.Errorf("%s: make %s: the Makefile has no such target", p.path, match[1])
				}
			}
		}
	}
	if named == 0 {
		t.Error("found no command of make")
	}
}

func TestFilesThatAreNamedExist(t *testing.T) {
	file := regexp.MustCompile(`(?:^|[\s"'(=])((?:cmd|docs|manifests|test)/[\w./-]*\w)`)
	named := 0
	for _, p := range pages(t) {
		for _, text := range append(p.spans, p.code) {
			for _, match := range file.FindAllStringSubmatch(text, -1) {
				named++
				if _, err := os.Stat(at(match[1])); err != nil {
					t.Errorf("%s: %s does not exist", p.path, match[1])
				}
			}
		}
	}
	if named == 0 {
		t.Error("found no name of a file")
	}
}

func TestChartValuesThatAreNamedExist(t *testing.T) {
	defaults := values(t, chart+"/values.yaml")
	const name = `(?:clamav|sidecar|webhook|networkPolicy|monitoring)(?:\.[A-Za-z]+)+`
	whole := regexp.MustCompile(`^(` + name + `)(?:[= :].*)?$`)
	set := regexp.MustCompile(`--set(?:-string|-json)? '?(` + name + `)`)
	fileName := regexp.MustCompile(`\.(md|yaml|js|tpl|go)$`)
	named := 0
	check := func(p page, value string) {
		named++
		if !has(defaults, strings.Split(value, ".")) {
			t.Errorf("%s: the chart has no value %s", p.path, value)
		}
	}
	for _, p := range pages(t) {
		for _, span := range p.spans {
			for _, match := range whole.FindAllStringSubmatch(span, -1) {
				if !fileName.MatchString(match[1]) {
					check(p, match[1])
				}
			}
		}
		for _, match := range set.FindAllStringSubmatch(p.prose+p.code, -1) {
			check(p, match[1])
		}
	}
	if named == 0 {
		t.Error("found no value of the chart")
	}
}

func TestValuesOfTheExamplesAreValuesOfTheChart(t *testing.T) {
	defaults := values(t, chart+"/values.yaml")
	files, err := filepath.Glob(at("manifests/examples/values/*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("found the files %q (%v)", files, err)
	}
	for _, file := range files {
		relative, err := filepath.Rel(root, file)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range leaves(values(t, relative), nil) {
			if !has(defaults, key) {
				t.Errorf("%s: the chart has no value %s", file, strings.Join(key, "."))
			}
		}
	}
}

// values reads a file of values at a path from the root.
func values(t *testing.T, file string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(at(file))
	if err != nil {
		t.Fatal(err)
	}
	var read map[string]any
	if err := yaml.UnmarshalStrict(text, &read); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return read
}

// has says whether the values have the key. Below a value that is empty, or that
// names quantities or labels, users write keys of their own.
func has(values map[string]any, key []string) bool {
	value, found := values[key[0]]
	if !found {
		return false
	}
	below, isMap := value.(map[string]any)
	if len(key) == 1 || isMap && (len(below) == 0 || strings.HasSuffix(strings.ToLower(key[0]), "labels") || key[0] == "limits" && below["memory"] != nil) {
		return true
	}
	return isMap && has(below, key[1:])
}

// leaves are the keys of all values that are no maps.
func leaves(values map[string]any, above []string) [][]string {
	var keys [][]string
	for name, value := range values {
		key := append(append([]string(nil), above...), name)
		if below, isMap := value.(map[string]any); isMap && len(below) > 0 {
			keys = append(keys, leaves(below, key)...)
		} else {
			keys = append(keys, key)
		}
	}
	return keys
}
