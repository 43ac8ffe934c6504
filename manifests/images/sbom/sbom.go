// Package sbom says what is in an image of one Go program: it reads the build
// information that Go puts into the program, writes it as a CycloneDX software
// bill of materials, and makes of that what refers to the image in a registry.
package sbom

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	packageurl "github.com/package-url/packageurl-go"
)

// specVersion is that of CycloneDX. Not all scanners read the newest.
const specVersion = cdx.SpecVersion1_6

// Subject is the image that a bill is of.
type Subject struct {
	// Name is that of the image, without registry and tag, such as
	// clamav-sidecar/sidecar.
	Name         string
	Version      string
	Architecture string
	// Digest is that of the image's manifest.
	Digest  v1.Hash
	Created time.Time
}

// Make returns the CycloneDX bill, as JSON, of an image that holds the Go program
// at path: the program, the modules that are linked into it, with their sums of
// go.sum, and Go's standard library. Equal input gives equal bytes.
func Make(subject Subject, path string) ([]byte, error) {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("failed to read the build information of %s: %w", path, err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("failed to read %s: %w", path, err)
	}
	container := container(subject)
	program := program(info, subject.Version, sha256.Sum256(content))
	libraries := []cdx.Component{library("stdlib", strings.TrimPrefix(info.GoVersion, "go"), "")}
	for _, module := range info.Deps {
		if module.Replace != nil {
			module = module.Replace
		}
		libraries = append(libraries, library(module.Path, module.Version, module.Sum))
	}
	linked := make([]string, len(libraries))
	for i := range libraries {
		linked[i] = libraries[i].BOMRef
	}

	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{
		Timestamp: subject.Created.UTC().Format(time.RFC3339),
		Component: &container,
	}
	components := append([]cdx.Component{program}, libraries...)
	bom.Components = &components
	bom.Dependencies = &[]cdx.Dependency{
		{Ref: container.BOMRef, Dependencies: &[]string{program.BOMRef}},
		{Ref: program.BOMRef, Dependencies: &linked},
	}
	var out bytes.Buffer
	if err := cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, specVersion); err != nil {
		return nil, fmt.Errorf("failed to write the bill of materials of %s: %w", path, err)
	}
	return out.Bytes(), nil
}

func container(subject Subject) cdx.Component {
	name := subject.Name[strings.LastIndex(subject.Name, "/")+1:]
	purl := packageurl.NewPackageURL(packageurl.TypeOCI, "", name, subject.Digest.String(),
		packageurl.QualifiersFromMap(map[string]string{"arch": subject.Architecture}), "").ToString()
	return cdx.Component{
		BOMRef:     purl,
		Type:       cdx.ComponentTypeContainer,
		Name:       subject.Name,
		Version:    subject.Version,
		Hashes:     &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: subject.Digest.Hex}},
		PackageURL: purl,
	}
}

func program(info *debug.BuildInfo, version string, sum [sha256.Size]byte) cdx.Component {
	return cdx.Component{
		BOMRef:  info.Path,
		Type:    cdx.ComponentTypeApplication,
		Name:    info.Path,
		Version: version,
		Hashes:  &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(sum[:])}},
	}
}

// library describes a module. The name of the standard library is the one by
// which vulnerability scanners know it. A sum of go.sum is a property and not a
// hash, since it is not one of any file that could be downloaded.
func library(path, version, sum string) cdx.Component {
	slash := strings.LastIndex(path, "/")
	purl := packageurl.NewPackageURL(packageurl.TypeGolang, path[:max(slash, 0)], path[slash+1:], version, nil, "").ToString()
	component := cdx.Component{
		BOMRef:     purl,
		Type:       cdx.ComponentTypeLibrary,
		Name:       path,
		Version:    version,
		PackageURL: purl,
	}
	if sum != "" {
		component.Properties = &[]cdx.Property{{Name: "clamav-sidecar:go.sum", Value: sum}}
	}
	return component
}
