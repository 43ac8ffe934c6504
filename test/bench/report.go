package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"clamav-sidecar/sidecar/clamd"
)

// table gathers the results and prints them as Markdown.
type table struct{ lines []string }

func newTable() *table {
	return &table{lines: []string{
		"| body | clients | way | scans/s | MB/s | to direct | p50 ms | p99 ms | sidecar CPU s/GB | clamd CPU s/GB |",
		"| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
	}}
}

func (t *table) add(c cell, results []result) {
	for _, r := range results {
		rate := r.median(func(s sample) float64 { return s.scansPerSecond })
		sidecarCPU := "-"
		if r.way.sidecar {
			sidecarCPU = fmt.Sprintf("%.2f", r.median(func(s sample) float64 { return s.sidecarCPU }))
		}
		line := fmt.Sprintf("| %s | %d | %s | %.1f | %.1f | %s | %.2f | %.2f | %s | %.1f |",
			clamd.FormatSize(c.size), c.clients, r.way.name, rate, rate*float64(c.size)/1e6,
			ratio(r, results),
			r.median(func(s sample) float64 { return milliseconds(s.p50) }),
			r.median(func(s sample) float64 { return milliseconds(s.p99) }),
			sidecarCPU,
			r.median(func(s sample) float64 { return s.clamdCPU }))
		progress("%s", line)
		t.lines = append(t.lines, line)
	}
}

func (t *table) print(w io.Writer) { fmt.Fprintln(w, strings.Join(t.lines, "\n")) }

// ratio is the median, over the rounds, of r's throughput to that of the direct
// way in the same round.
func ratio(r result, results []result) string {
	if results[0].way.name != "direct" {
		return "-"
	}
	ratios := make([]float64, len(r.samples))
	for i, s := range r.samples {
		ratios[i] = s.scansPerSecond / results[0].samples[i].scansPerSecond
	}
	return fmt.Sprintf("%.2f", median(ratios))
}

func (r result) median(of func(sample) float64) float64 {
	values := make([]float64, len(r.samples))
	for i, s := range r.samples {
		values[i] = of(s)
	}
	return median(values)
}

func median(values []float64) float64 {
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
