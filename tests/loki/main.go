// Command loki runs LogQL queries over log lines by Loki's own parser and pipeline, without a server.
//
// Its input is JSON: {"queries": [...], "lines": [{"labels": "{app=\"a\"}", "line": "..."}]}. Its output, for each query, is
// what went wrong or what is left of which lines.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/grafana/loki/v3/pkg/logql/syntax"
	"github.com/prometheus/prometheus/model/labels"
)

type input struct {
	Queries []string `json:"queries"`
	Lines   []struct {
		Labels string `json:"labels"`
		Line   string `json:"line"`
	} `json:"lines"`
}

type match struct {
	Index  int               `json:"index"`
	Line   string            `json:"line"`
	Labels map[string]string `json:"labels"`
}

type answer struct {
	Query   string  `json:"query"`
	Error   string  `json:"error,omitempty"`
	Metric  bool    `json:"metric"`
	Matches []match `json:"matches"`
}

func main() {
	var asked input
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		fmt.Fprintln(os.Stderr, "expected queries and lines as JSON:", err)
		os.Exit(64)
	}
	answers := make([]answer, 0, len(asked.Queries))
	for _, query := range asked.Queries {
		result := answer{Query: query, Matches: []match{}}
		if err := run(query, asked, &result); err != nil {
			result.Error = err.Error()
		}
		answers = append(answers, result)
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(query string, asked input, result *answer) error {
	expr, err := syntax.ParseExpr(query)
	if err != nil {
		return err
	}
	selector, isLog := expr.(syntax.LogSelectorExpr)
	if !isLog {
		sample, ok := expr.(syntax.SampleExpr)
		if !ok {
			return fmt.Errorf("neither a log query nor a metric query: %T", expr)
		}
		// What a metric query counts are the lines that its selector leaves.
		if selector, err = sample.Selector(); err != nil {
			return err
		}
		result.Metric = true
	}
	pipeline, err := selector.Pipeline()
	if err != nil {
		return err
	}
	for index, line := range asked.Lines {
		stream, err := syntax.ParseLabels(line.Labels)
		if err != nil {
			return err
		}
		if !selects(selector.Matchers(), stream) {
			continue
		}
		text, of, kept := pipeline.ForStream(stream).ProcessString(0, line.Line, labels.EmptyLabels())
		if kept {
			result.Matches = append(result.Matches, match{Index: index, Line: text, Labels: of.Labels().Map()})
		}
	}
	return nil
}

func selects(matchers []*labels.Matcher, stream labels.Labels) bool {
	for _, matcher := range matchers {
		if !matcher.Matches(stream.Get(matcher.Name)) {
			return false
		}
	}
	return true
}
