package sbom

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// testSubject is an image that stands for one of testdata/tiny.
func testSubject() Subject {
	return Subject{
		Name:         "clamav-sidecar/sidecar",
		Version:      "1.2.3",
		Architecture: "arm64",
		Digest:       v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("ab", 32)},
		Created:      time.Unix(1700000000, 0),
	}
}

func makeBill(t *testing.T) (cdx.BOM, string) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "tiny")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../testdata/tiny")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	bill, err := Make(testSubject(), binary)
	if err != nil {
		t.Fatal(err)
	}
	var bom cdx.BOM
	if err := cdx.NewBOMDecoder(bytes.NewReader(bill), cdx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatalf("%v in\n%s", err, bill)
	}
	return bom, binary
}

func TestABillIsOfItsImage(t *testing.T) {
	bom, _ := makeBill(t)
	image := bom.Metadata.Component
	if image.Type != cdx.ComponentTypeContainer || image.Name != "clamav-sidecar/sidecar" || image.Version != "1.2.3" {
		t.Errorf("got a bill of %+v, want one of the image", image)
	}
	if want := []cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: strings.Repeat("ab", 32)}}; !slices.Equal(*image.Hashes, want) {
		t.Errorf("got the hashes %v, want the image's digest %v", *image.Hashes, want)
	}
	if want := "pkg:oci/sidecar@sha256:" + strings.Repeat("ab", 32) + "?arch=arm64"; strings.ReplaceAll(image.PackageURL, "%3A", ":") != want {
		t.Errorf("got the package URL %s, want %s", image.PackageURL, want)
	}
	if want := "2023-11-14T22:13:20Z"; bom.Metadata.Timestamp != want {
		t.Errorf("got the time %s, want %s", bom.Metadata.Timestamp, want)
	}
}

func TestABillHoldsTheProgramAndWhatIsLinkedIntoIt(t *testing.T) {
	bom, binary := makeBill(t)
	content, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(content)
	program := (*bom.Components)[0]
	if program.Type != cdx.ComponentTypeApplication || (*program.Hashes)[0].Value != hex.EncodeToString(sum[:]) {
		t.Errorf("got the program %+v, want its SHA-256 %x", program, sum)
	}
	known := map[string]cdx.Component{}
	for _, component := range *bom.Components {
		known[component.Name] = component
	}
	library := known["github.com/google/go-containerregistry"]
	if want := "pkg:golang/github.com/google/go-containerregistry@v0."; !strings.HasPrefix(library.PackageURL, want) {
		t.Errorf("got the module %+v, want a package URL that starts with %s", library, want)
	}
	if library.Properties == nil || !strings.HasPrefix((*library.Properties)[0].Value, "h1:") {
		t.Errorf("got the properties %v, want the sum of go.sum", library.Properties)
	}
	if stdlib := known["stdlib"]; stdlib.Version == "" || strings.HasPrefix(stdlib.Version, "go") {
		t.Errorf("got the standard library %+v, want it with a version number", stdlib)
	}
}

func TestEveryDependencyIsAComponent(t *testing.T) {
	bom, _ := makeBill(t)
	references := map[string]bool{bom.Metadata.Component.BOMRef: true}
	for _, component := range *bom.Components {
		if references[component.BOMRef] {
			t.Errorf("two components have the reference %s", component.BOMRef)
		}
		references[component.BOMRef] = true
	}
	reached := 1
	for _, dependency := range *bom.Dependencies {
		for _, reference := range *dependency.Dependencies {
			if !references[reference] {
				t.Errorf("%s depends on %s, which is no component", dependency.Ref, reference)
			}
			reached++
		}
	}
	if reached != len(references) {
		t.Errorf("%d components are depended on, want all %d", reached, len(references))
	}
}

func TestAFileThatIsNoProgramHasNoBill(t *testing.T) {
	path := t.TempDir() + "/script"
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Make(testSubject(), path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got the error %v, want one that names %s", err, path)
	}
}
