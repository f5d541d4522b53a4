package main

import (
	"errors"
	"fmt"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/ext"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// One entry of healthCheckExprs.
type expressions struct {
	InProgress string `json:"inProgress"`
	Failed     string `json:"failed"`
	Current    string `json:"current"`
}

// flux judges as Flux's RFC 0009 says: an unobserved generation is in progress; then the expressions in the order inProgress,
// failed, current; and in progress when none holds. An expression that errors is an error of the whole check.
func (e *expressions) flux(object map[string]any) (string, error) {
	observed, found, err := unstructured.NestedInt64(object, "status", "observedGeneration")
	if err != nil {
		return "", err
	}
	generation, known, err := unstructured.NestedInt64(object, "metadata", "generation")
	if err != nil {
		return "", err
	}
	if found && known && observed != generation {
		return "InProgress", nil
	}
	if e.Current == "" {
		return "", errors.New("no expression for current")
	}
	for _, candidate := range []struct{ source, verdict string }{
		{e.InProgress, "InProgress"}, {e.Failed, "Failed"}, {e.Current, "Current"},
	} {
		if candidate.source == "" {
			continue
		}
		holds, err := evaluate(candidate.source, object)
		if err != nil {
			return "", fmt.Errorf("%s: %w", candidate.verdict, err)
		}
		if holds {
			return candidate.verdict, nil
		}
	}
	return "InProgress", nil
}

// evaluate parses without declarations and evaluates over the object's own fields: an absent one is an error, as with Flux.
func evaluate(source string, object map[string]any) (bool, error) {
	environment, err := cel.NewEnv(
		cel.HomogeneousAggregateLiterals(), cel.EagerlyValidateDeclarations(true), cel.DefaultUTCTimeZone(true),
		cel.CrossTypeNumericComparisons(true), cel.OptionalTypes(), ext.Strings(), ext.Sets(), ext.Encoders(),
	)
	if err != nil {
		return false, err
	}
	parsed, issues := environment.Parse(source)
	if issues != nil && issues.Err() != nil {
		return false, issues.Err()
	}
	program, err := environment.Program(parsed, cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return false, err
	}
	value, _, err := program.Eval(object)
	if err != nil {
		return false, err
	}
	holds, ok := value.(types.Bool)
	if !ok {
		return false, fmt.Errorf("expected true or false, found %v", value)
	}
	return bool(holds), nil
}
