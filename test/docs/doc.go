// Package docs tests what readers rely on: that links lead somewhere, that
// commands, files and chart values which the documentation names exist, and that
// the examples' values are values of the chart.
package docs
