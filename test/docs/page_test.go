package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"
)

// root is the top of the repository.
const root = "../.."

// at is where a file is whose path from the root, with slashes, this is.
func at(path string) string { return filepath.Join(root, filepath.FromSlash(path)) }

// page is a file of documentation.
type page struct {
	// path is that from the root, with slashes.
	path string
	// prose is the text without its blocks of code, code these blocks, and
	// spans what stands between backticks in the prose.
	prose, code string
	spans       []string
	// anchors are what links into the page may name.
	anchors map[string]bool
}

var (
	fence   = regexp.MustCompile("^ *(```|~~~)")
	span    = regexp.MustCompile("`[^`]+`")
	heading = regexp.MustCompile(`^#{1,6} +(.+?) *#*$`)
)

// read reads the page at a path from the root.
func read(path string) (page, error) {
	text, err := os.ReadFile(at(path))
	if err != nil {
		return page{}, err
	}
	return parse(path, string(text)), nil
}

// parse takes Markdown apart: blocks of code are fenced, or indented by four
// spaces after an empty line. Lists here are not indented as deep.
func parse(path, text string) page {
	p := page{path: path, anchors: map[string]bool{}}
	var prose, code []string
	fenced, indented, blank := false, false, true
	for _, line := range strings.Split(text, "\n") {
		if fence.MatchString(line) {
			fenced = !fenced
			continue
		}
		deep := strings.HasPrefix(line, "    ")
		indented = !fenced && deep && (indented || blank)
		blank = strings.TrimSpace(line) == "" || indented
		if fenced || indented {
			code = append(code, line)
			continue
		}
		prose = append(prose, line)
		if match := heading.FindStringSubmatch(line); match != nil {
			p.anchors[unique(anchor(match[1]), p.anchors)] = true
		}
	}
	p.prose, p.code = strings.Join(prose, "\n"), strings.Join(code, "\n")
	for _, found := range span.FindAllString(p.prose, -1) {
		p.spans = append(p.spans, strings.Trim(found, "`"))
	}
	return p
}

// anchor is what GitHub makes of a heading: letters and digits in lower case,
// hyphens for spaces, nothing for other characters.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		case r == ' ':
			return '-'
		}
		return -1
	}, heading)
}

// unique numbers an anchor that is there already, as GitHub does.
func unique(anchor string, taken map[string]bool) string {
	numbered := anchor
	for n := 1; taken[numbered]; n++ {
		numbered = fmt.Sprintf("%s-%d", anchor, n)
	}
	return numbered
}
