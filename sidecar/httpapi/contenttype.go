package httpapi

import (
	"errors"
	"fmt"
	"strings"
)

// errNotForm is a multipart body that is plainly no form.
var errNotForm = errors.New("a multipart body that is not scanned")

// formBoundary says from a request's Content-Type fields whether its body is a
// form: "" is any other body. Readers of forms differ in what they make of
// unusual parameters, so a value that mentions multipart must be
// multipart/form-data with one plain boundary and at most a charset. The error
// is errNotForm for another multipart type, or else errForm.
func formBoundary(contentTypes []string) (string, error) {
	switch {
	case len(contentTypes) > 1:
		return "", fmt.Errorf("%w: the request has %d fields Content-Type", errForm, len(contentTypes))
	case len(contentTypes) == 0 || !mentionsMultipart(contentTypes[0]):
		return "", nil
	}
	fields := strings.Split(contentTypes[0], ";")
	media := strings.ToLower(trimBlanks(fields[0]))
	if subtype, ok := strings.CutPrefix(media, "multipart/"); ok && isPlain(subtype) && subtype != "form-data" {
		return "", fmt.Errorf("%w: it is %.40q; send the file as the body, or files as multipart/form-data", errNotForm, media)
	}
	params, ok := plainParams(fields[1:])
	boundary := params["boundary"]
	if media != "multipart/form-data" || !ok || boundary == "" {
		return "", fmt.Errorf("%w: the Content-Type %.100q cannot be read in one way only; "+
			"send multipart/form-data with a boundary, and no other parameter than charset", errForm, contentTypes[0])
	}
	return boundary, nil
}

// plainParams reads the parameters of a form's Content-Type. It is not ok if one
// is there twice, is neither boundary nor charset, or has a value that is not
// plain. Only a boundary may be made of more than isPlain allows, in quotes;
// newFormReader checks of what.
func plainParams(fields []string) (params map[string]string, ok bool) {
	params = map[string]string{}
	for _, field := range fields {
		name, value, _ := strings.Cut(trimBlanks(field), "=")
		name = strings.ToLower(name)
		if _, again := params[name]; again {
			return nil, false
		}
		bare, quoted := unquote(value)
		switch {
		case name == "boundary" && quoted && !strings.ContainsAny(bare, `"\`):
		case (name == "boundary" || name == "charset") && isPlain(bare):
		default:
			return nil, false
		}
		params[name] = bare
	}
	return params, true
}

// unquote takes the quotes around value off, if it has both.
func unquote(value string) (bare string, quoted bool) {
	if inner, ok := strings.CutPrefix(value, `"`); ok {
		if inner, ok = strings.CutSuffix(inner, `"`); ok {
			return inner, true
		}
	}
	return value, false
}

// isPlain says whether every reader takes text for one token: it has letters,
// digits and a few signs, and at least one of them.
func isPlain(text string) bool {
	for i := range len(text) {
		if !isBoundaryChar(text[i]) || strings.IndexByte("(),/:=? ", text[i]) >= 0 {
			return false
		}
	}
	return text != ""
}

// mentionsMultipart says whether some reader may take contentType for that of a
// multipart body.
func mentionsMultipart(contentType string) bool {
	return strings.Contains(strings.ToLower(contentType), "multipart")
}

func trimBlanks(text string) string { return strings.Trim(text, " \t") }
