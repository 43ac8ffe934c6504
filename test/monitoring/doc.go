// Package monitoring checks the alerts that the chart installs, and its
// dashboard: promtool tests every alert (rules_test.yaml), and every metric and
// label that alerts and dashboard ask for is one that a running sidecar or
// webhook exposes. It is a module of its own so that the product does not depend
// on Prometheus' parser.
package monitoring
