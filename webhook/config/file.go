package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"clamav-sidecar/sidecar/clamd"
	"clamav-sidecar/webhook/clientconfig/render"
	"clamav-sidecar/webhook/inject"
)

const (
	// maxSize of a file in bytes. One with every setting and a comment for each
	// has some 3 KiB.
	maxSize = 64 << 10
	// maxFileSize is the largest limit of a clamav service that means anything:
	// ClamAV's engine scans no file of 2 GiB or more.
	maxFileSize = 2047 << 20

	defaultPort        = 3310
	defaultMaxFileSize = 100 << 20 // clamd's own
)

// File is what a configuration file says, with the defaults filled in.
type File struct {
	// Sidecar has the defaults of the annotations.
	Sidecar inject.Settings
	// Client goes into the clients' ConfigMap.
	Client render.Settings
}

// Load reads the file at path. Its error names the path and has all faults.
func Load(path string) (File, error) {
	text, err := read(path)
	if err != nil {
		return File{}, err
	}
	return parseNamed(path, text)
}

// read gives the text of the file, and of one that is too large as much as it
// takes for [Parse] to see that.
func read(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("failed to read the configuration: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxSize+1))
	if err != nil {
		return nil, fmt.Errorf("failed to read the configuration: %w", err)
	}
	return text, nil
}

func parseNamed(path string, text []byte) (File, error) {
	parsed, err := Parse(text)
	if err != nil {
		return File{}, fmt.Errorf("bad configuration %s:\n%w", path, err)
	}
	return parsed, nil
}

// Parse reads one YAML document of at most 64 KiB. The error has one line for
// each fault, in the order of their paths: a [field.Error], or that the text is
// no YAML at all.
func Parse(text []byte) (File, error) {
	if len(text) > maxSize {
		return File{}, fmt.Errorf("it is larger than %d bytes", maxSize)
	}
	root, err := document(text)
	if err != nil {
		return File{}, err
	}
	var r reader
	file := r.file(root)
	if len(r.faults) == 0 {
		return file, nil
	}
	slices.SortStableFunc(r.faults, func(a, b *field.Error) int { return strings.Compare(a.Field, b.Field) })
	all := make([]error, len(r.faults))
	for i, fault := range r.faults {
		all[i] = fault
	}
	return File{}, errors.Join(all...)
}

// document gives the one document of a text; nil if that is empty.
func document(text []byte) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var first, second yaml.Node
	switch err := decoder.Decode(&first); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("it is no YAML: %w", err)
	}
	switch err := decoder.Decode(&second); {
	case err == nil:
		return nil, fmt.Errorf("line %d: a second document begins; want one", second.Line)
	case !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("it is no YAML: %w", err)
	}
	if len(first.Content) == 0 {
		return nil, nil
	}
	return first.Content[0], nil
}

// file reads the document.
func (r *reader) file(root *yaml.Node) File {
	sections := r.section(root, nil, "clamd", "configMap", "sidecar")
	file := File{Sidecar: inject.DefaultSettings()}
	client := &file.Client
	r.clamd(sections["clamd"], field.NewPath("clamd"), client)

	client.Name, client.Manage = file.Sidecar.ConfigMap, true
	r.configMap(sections["configMap"], field.NewPath("configMap"), client)
	file.Sidecar.ConfigMap = client.Name

	file.Sidecar.MaxFileSize = client.MaxFileSize
	r.sidecar(sections["sidecar"], field.NewPath("sidecar"), &file.Sidecar, client.MaxFileSize)
	client.LocalPort = int(file.Sidecar.ClamdPort)
	return file
}

// clamd reads where the service is.
func (r *reader) clamd(node *yaml.Node, path *field.Path, client *render.Settings) {
	values := r.section(node, path, "host", "port", "maxFileSize")
	client.Port, client.MaxFileSize = defaultPort, defaultMaxFileSize
	if host, at := values["host"], path.Child("host"); host == nil {
		r.fault(field.Required(at, "the name or IP address of the clamav service, such as clamav.clamav-system.svc"))
	} else if text, ok := r.scalar(host, at, "a string", stringTag); ok {
		client.Host = text
		if !isHost(text) {
			r.fault(field.Invalid(at, clip(text), "want one host name or IP address; the port is a key of its own"))
		}
	}
	if port, at := values["port"], path.Child("port"); port != nil {
		if text, ok := r.scalar(port, at, "a number", intTag); ok {
			number, err := strconv.ParseUint(text, 10, 16)
			if err != nil || number == 0 {
				r.fault(field.Invalid(at, clip(text), "want a port from 1 to 65535"))
			}
			client.Port = int(number)
		}
	}
	if most, at := values["maxFileSize"], path.Child("maxFileSize"); most != nil {
		if text, ok := r.scalar(most, at, "a size", stringTag, intTag); ok {
			size, err := clamd.ParseSize(text)
			if err != nil || size < 1 || size > maxFileSize {
				r.fault(field.Invalid(at, clip(text), "want a size from 1 to "+clamd.FormatSize(maxFileSize)+
					", such as 100M: ClamAV scans no file of 2G or more"))
				return
			}
			client.MaxFileSize = size
		}
	}
}

// configMap reads what the clients' ConfigMap is called, and who keeps it.
func (r *reader) configMap(node *yaml.Node, path *field.Path, client *render.Settings) {
	values := r.section(node, path, "name", "manage")
	if name, at := values["name"], path.Child("name"); name != nil {
		if text, ok := r.scalar(name, at, "a string", stringTag); ok {
			client.Name = text
			r.objectName(text, at)
		}
	}
	if manage, at := values["manage"], path.Child("manage"); manage != nil {
		if text, ok := r.scalar(manage, at, "true or false", boolTag); ok {
			client.Manage = text == "true"
		}
	}
}

// sidecar reads the defaults of the annotations. Most is the service's limit for
// a file in bytes.
func (r *reader) sidecar(node *yaml.Node, path *field.Path, settings *inject.Settings, most int64) {
	values := map[string]string{}
	var faults field.ErrorList
	for name, value := range r.section(node, path) {
		at := path.Child(name)
		if name == "config-map" {
			faults = append(faults, field.Forbidden(at, "it is given as configMap.name"))
			continue
		}
		if text, ok := r.scalar(value, at, "a string, a number, or true or false", stringTag, intTag, floatTag, boolTag); ok {
			values[name] = text
		}
	}
	faults = append(faults, settings.Set(values, path)...)
	// What is bad already is not said to be missing too.
	bad := map[string]bool{}
	for _, fault := range append(faults, r.faults...) {
		bad[fault.Field] = true
	}
	for _, fault := range settings.Validate(func(name string) *field.Path { return path.Child(name) }) {
		if !bad[fault.Field] {
			faults = append(faults, fault)
		}
	}
	if at := path.Child("max-file-size"); settings.MaxFileSize > most && !bad["clamd.maxFileSize"] {
		faults = append(faults, field.Invalid(at, clamd.FormatSize(settings.MaxFileSize),
			"want at most clamd.maxFileSize, which is "+clamd.FormatSize(most)+": the service would refuse what the sidecar lets through"))
	}
	r.fault(faults...)
}
