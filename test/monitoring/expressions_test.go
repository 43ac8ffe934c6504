package monitoring

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// fromPrometheus are the labels of a target, which the PodMonitors have
// Prometheus add to every series.
var fromPrometheus = map[string]bool{"namespace": true, "pod": true, "container": true, "job": true, "instance": true}

// variables are what Grafana puts in the place of its own and of the dashboard's.
var variables = strings.NewReplacer("$__rate_interval", "2m", "$__range", "1h", "$namespace", ".*")

// question is an expression, and the labels of its result that a text shows.
type question struct {
	from   string // whose it is
	expr   string
	labels []string
}

var (
	labelInAlert  = regexp.MustCompile(`\$labels\.(\w+)`)
	labelInLegend = regexp.MustCompile(`\{\{(\w+)\}\}`)
	labelValues   = regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)
)

func names(pattern *regexp.Regexp, text string) (all []string) {
	for _, match := range pattern.FindAllStringSubmatch(text, -1) {
		all = append(all, match[1])
	}
	return all
}

// questions gives all of alerts and dashboard.
func questions(t *testing.T) (all []question) {
	t.Helper()
	for _, a := range alerts(t) {
		all = append(all, question{"alert " + a.Alert, a.Expr, names(labelInAlert, a.Annotations["description"])})
	}
	return append(all, dashboard(t)...)
}

func dashboard(t *testing.T) (all []question) {
	t.Helper()
	var file struct {
		Templating struct {
			List []struct{ Name, Type, Definition string }
		}
		Panels []struct {
			Title, Type string
			Targets     []struct{ Expr, LegendFormat string }
		}
	}
	read(t, filepath.Join(chart, "files", "dashboard.json"), &file)
	for _, v := range file.Templating.List {
		if v.Type != "query" {
			continue
		}
		found := labelValues.FindStringSubmatch(v.Definition)
		if found == nil {
			t.Fatalf("the variable %s asks for %q, want label_values(metric, label)", v.Name, v.Definition)
		}
		all = append(all, question{"variable " + v.Name, found[1], []string{found[2]}})
	}
	for _, panel := range file.Panels {
		if panel.Type != "row" && len(panel.Targets) == 0 {
			t.Errorf("panel %q asks for nothing", panel.Title)
		}
		for _, target := range panel.Targets {
			all = append(all, question{"panel " + panel.Title, variables.Replace(target.Expr), names(labelInLegend, target.LegendFormat)})
		}
	}
	return all
}

// need is what an expression wants of a metric: that it has the label, and, if
// there is one, the value.
type need struct{ metric, label, value string }

// needs gives all that a question wants to be exposed.
func (q question) needs(t *testing.T) (all []need) {
	t.Helper()
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(q.expr)
	if err != nil {
		t.Fatalf("%s: failed to read its expression: %v", q.from, err)
	}
	// below wants a label of each metric under a node.
	below := func(node parser.Node, label string) {
		parser.Inspect(node, func(node parser.Node, _ []parser.Node) error {
			if selector, ok := node.(*parser.VectorSelector); ok {
				all = append(all, need{selector.Name, label, ""})
			}
			return nil
		})
	}
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch node := node.(type) {
		case *parser.VectorSelector:
			for _, matcher := range node.LabelMatchers {
				all = append(all, matched(node.Name, matcher)...)
			}
		case *parser.AggregateExpr:
			for _, label := range node.Grouping {
				below(node.Expr, label)
			}
		case *parser.BinaryExpr:
			if node.VectorMatching == nil {
				break
			}
			for _, label := range node.VectorMatching.MatchingLabels {
				below(node, label)
			}
			for _, label := range node.VectorMatching.Include {
				below(node.RHS, label)
			}
		}
		return nil
	})
	for _, label := range q.labels {
		below(expr, label)
	}
	return all
}

// matched gives what a matcher of a metric wants. All that our expressions match
// by is one value, or several with | between them.
func matched(metric string, matcher *labels.Matcher) (all []need) {
	if matcher.Name == model.MetricNameLabel {
		return []need{{metric: metric}}
	}
	if fromPrometheus[matcher.Name] {
		return nil
	}
	for value := range strings.SplitSeq(matcher.Value, "|") {
		all = append(all, need{metric, matcher.Name, value})
	}
	return all
}
