package main

import (
	"fmt"
	"slices"
	"time"
)

// figures are those of the rounds of one measurement.
type figures []float64

// column takes one figure out of each round.
func column[T any](rounds []T, of func(T) float64) figures {
	f := make(figures, len(rounds))
	for i, r := range rounds {
		f[i] = of(r)
	}
	return f
}

func (f figures) median() float64 {
	sorted := slices.Sorted(slices.Values(f))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// spread is from the least to the most.
func (f figures) spread(format string) string {
	return fmt.Sprintf(format+" to "+format, slices.Min(f), slices.Max(f))
}

// quantile of times that are sorted.
func quantile(times []time.Duration, q float64) time.Duration {
	return times[int(q*float64(len(times)-1))]
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
