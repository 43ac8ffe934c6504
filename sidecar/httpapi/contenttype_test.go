package httpapi

import (
	"errors"
	"testing"
)

func TestFormBoundary(t *testing.T) {
	for value, want := range map[string]string{
		"":                                    "",
		"text/plain; charset=utf-8":           "",
		"application/x-www-form-urlencoded":   "",
		"multipart/form-data; boundary=b":     "b",
		"Multipart/Form-Data;BOUNDARY=b":      "b",
		`multipart/form-data; boundary="b"`:   "b",
		`multipart/form-data; boundary="a:b"`: "a:b",
		"multipart/form-data ;\tboundary=----WebKitFormBoundary0aZ": "----WebKitFormBoundary0aZ",
		"multipart/form-data; boundary=b; charset=utf-8":            "b",
		`multipart/form-data; charset="UTF-8"; boundary=b`:          "b",
	} {
		got, err := formBoundary([]string{value})
		if err != nil || got != want {
			t.Errorf("%q: got %q, %v, want %q", value, got, err, want)
		}
	}
	if got, err := formBoundary(nil); got != "" || err != nil {
		t.Errorf("no Content-Type: got %q, %v, want none", got, err)
	}
}

func TestFormBoundaryRefuses(t *testing.T) {
	for _, values := range [][]string{
		{"text/plain", "text/plain"},
		{"multipart/form-data; boundary=b", "multipart/form-data; boundary=b"},
		{"application/x-www-form-urlencoded, multipart/form-data; boundary=b"},
		{"multipart/form-data; boundary=b, text/plain"},
		{"multipart/mixed, multipart/form-data; boundary=b"},
		{"text/plain; multipart/form-data; boundary=b"},
		{"multipart /form-data;boundary=b"},
		{"multipart;boundary=b"},
		{"multipart/;boundary=b"},
		{"multipart/form-data"},
		{"multipart/form-data;"},
		{"multipart/form-data; boundary"},
		{"multipart/form-data; boundary="},
		{`multipart/form-data; boundary=""`},
		{`multipart/form-data; boundary="`},
		{`multipart/form-data; boundary="b`},
		{`multipart/form-data; boundary="x\(y"`},
		{`multipart/form-data; boundary="x;y"`},
		{"multipart/form-data; boundary=a b"},
		{"multipart/form-data; boundary=a=b"},
		{"multipart/form-data; boundary =b"},
		{"multipart/form-data; boundary= b"},
		{"multipart/form-data; boundary=b;"},
		{"multipart/form-data; boundary=b; boundary=b"},
		{"multipart/form-data; boundary=b; Boundary=c"},
		{"multipart/form-data; boundary=b; boundary*=us-ascii''c"},
		{"multipart/form-data; boundary*=us-ascii''c"},
		{"multipart/form-data; boundary*0=c"},
		{"multipart/form-data; xboundary=b; boundary=c"},
		{"multipart/form-data; boundary=b; x=y"},
		{"multipart/form-data; boundary=b; charset=a; charset=a"},
		{`multipart/form-data; charset="boundary=c"; boundary=b`},
	} {
		if got, err := formBoundary(values); !errors.Is(err, errForm) {
			t.Errorf("%q: got %q, %v, want errForm", values, got, err)
		}
	}
	if got, err := formBoundary([]string{"Multipart/Mixed; boundary=b; x=y"}); !errors.Is(err, errNotForm) {
		t.Errorf("multipart/mixed: got %q, %v, want errNotForm", got, err)
	}
}
