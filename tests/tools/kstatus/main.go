// Kstatus judges objects as those who wait for them do: by kstatus (Helm 4, Flux), by a Lua script (Argo CD), and by CEL
// expressions (Flux's healthCheckExprs).
//
// It reads JSON lines, {"object": ..., "lua": "...", "cel": {"inProgress": "...", "failed": "...", "current": "..."}}, of which
// lua and cel may be absent, and answers each with one line:
// {"kstatus": "Current", "message": "...", "lua": "Healthy", "luaMessage": "...", "cel": "Current"}.
// A line that cannot be judged ends it with exit code 1 and the reason on standard error.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"
)

// An object of etcd is at most 1.5 MiB.
const longestLine = 4 << 20

type question struct {
	Object json.RawMessage `json:"object"`
	Lua    string          `json:"lua"`
	Cel    *expressions    `json:"cel"`
}

type answer struct {
	Kstatus    status.Status `json:"kstatus"`
	Message    string        `json:"message"`
	Lua        string        `json:"lua,omitempty"`
	LuaMessage string        `json:"luaMessage,omitempty"`
	Cel        string        `json:"cel,omitempty"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "kstatus:", err)
		os.Exit(1)
	}
}

func run() error {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, longestLine)
	output := json.NewEncoder(os.Stdout)
	for number := 1; lines.Scan(); number++ {
		answer, err := judge(lines.Bytes())
		if err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		if err := output.Encode(answer); err != nil {
			return err
		}
	}
	return lines.Err()
}

func judge(line []byte) (*answer, error) {
	var asked question
	if err := json.Unmarshal(line, &asked); err != nil {
		return nil, err
	}
	// Whole numbers as int64, as in an object that came from an API server.
	var content map[string]any
	if err := utiljson.Unmarshal(asked.Object, &content); err != nil {
		return nil, err
	}
	if content == nil {
		return nil, errors.New("no object")
	}
	object := &unstructured.Unstructured{Object: content}

	found, err := status.Compute(object)
	if err != nil {
		return nil, fmt.Errorf("kstatus: %w", err)
	}
	told := &answer{Kstatus: found.Status, Message: found.Message}
	if asked.Lua != "" {
		if told.Lua, told.LuaMessage, err = argo(content, asked.Lua); err != nil {
			return nil, fmt.Errorf("lua: %w", err)
		}
	}
	if asked.Cel != nil {
		if told.Cel, err = asked.Cel.flux(content); err != nil {
			return nil, fmt.Errorf("cel: %w", err)
		}
	}
	return told, nil
}
