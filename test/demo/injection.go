package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// image stands for wherever the sidecar's image is kept.
const image = "registry.example/clamav-sidecar:1.0"

// injection shows the sample Deployment as a team writes it, and as the webhook
// has its pods run, which kubectl clamav tells without a cluster.
func (d *demo) injection(ctx context.Context) error {
	module, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "clamav-sidecar").Output()
	if err != nil {
		return fmt.Errorf("find the sample Deployment: %w", err)
	}
	sample := filepath.Join(string(bytes.TrimSpace(module)), "manifests", "examples", "deployment.yaml")
	before, err := os.ReadFile(sample)
	if err != nil {
		return fmt.Errorf("read the sample Deployment: %w", err)
	}
	fmt.Fprintln(d.out, "building kubectl clamav")
	program, err := d.build(ctx, "kubectl-clamav")
	if err != nil {
		return err
	}
	inject := exec.CommandContext(ctx, program, "inject", "--filename", sample, "--image", image)
	inject.Stderr = d.err
	after, err := inject.Output()
	if err != nil {
		return fmt.Errorf("inject into the sample Deployment: %w", err)
	}
	fmt.Fprintf(d.out, "\nA Deployment of an app that scans, before the injection:\n\n%s", indent(string(before)))
	fmt.Fprintf(d.out, "\nAnd after it, as the webhook has its pods run (+ is added, nothing else is changed):\n"+
		"  $ kubectl clamav inject -f manifests/examples/deployment.yaml --image %s\n\n%s\n", image, marked(string(before), string(after)))
	return nil
}

// build builds one of our commands.
func (d *demo) build(ctx context.Context, command string) (program string, err error) {
	program = d.file(command)
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "clamav-sidecar/cmd/"+command)
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", command, err, output)
	}
	return program, nil
}

func indent(text string) string { return marked(text, text) }

// marked puts a + before each line of after that before does not have.
func marked(before, after string) string {
	var text strings.Builder
	rest := strings.SplitAfter(before, "\n")
	for line := range strings.Lines(after) {
		if len(rest) > 0 && line == rest[0] {
			rest = rest[1:]
			text.WriteString("  " + line)
		} else {
			text.WriteString("+ " + line)
		}
	}
	return text.String()
}
