package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// As long as Argo CD lets a script run.
const scriptLimit = time.Second

// What Argo CD takes for an answer; anything else it shows as Unknown.
var healths = map[string]bool{
	"Degraded": true, "Healthy": true, "Missing": true, "Progressing": true, "Suspended": true, "Unknown": true,
}

// argo runs a health script as Argo CD does for users' scripts: the object in the global obj, and of Lua's libraries no more
// than the basic one and tables.
func argo(object map[string]any, script string) (health, message string, err error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable} {
		if err := state.CallByParam(lua.P{Fn: state.NewFunction(open), Protect: true}, lua.LString(name)); err != nil {
			return "", "", err
		}
	}
	// Of the basic library those that reach for files.
	for _, name := range []string{"dofile", "loadfile", "require", "module"} {
		state.SetGlobal(name, lua.LNil)
	}
	limit, cancel := context.WithTimeout(context.Background(), scriptLimit)
	defer cancel()
	state.SetContext(limit)
	value, err := toLua(state, object)
	if err != nil {
		return "", "", err
	}
	state.SetGlobal("obj", value)
	if err := state.DoString(script); err != nil {
		return "", "", err
	}
	returned, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return "", "", fmt.Errorf("expected a table, found %s", state.Get(-1).Type())
	}
	health = lua.LVAsString(returned.RawGetString("status"))
	message = lua.LVAsString(returned.RawGetString("message"))
	if !healths[health] {
		return "", "", fmt.Errorf("no health: %q", health)
	}
	if message == "" {
		return "", "", errors.New("no message: people would see a colour without a reason")
	}
	return health, message, nil
}

func toLua(state *lua.LState, value any) (lua.LValue, error) {
	switch value := value.(type) {
	case nil:
		return lua.LNil, nil
	case bool:
		return lua.LBool(value), nil
	case int64:
		return lua.LNumber(value), nil
	case float64:
		return lua.LNumber(value), nil
	case string:
		return lua.LString(value), nil
	case []any:
		table := state.NewTable()
		for _, item := range value {
			converted, err := toLua(state, item)
			if err != nil {
				return nil, err
			}
			table.Append(converted)
		}
		return table, nil
	case map[string]any:
		table := state.NewTable()
		for key, item := range value {
			converted, err := toLua(state, item)
			if err != nil {
				return nil, err
			}
			table.RawSetString(key, converted)
		}
		return table, nil
	default:
		return nil, fmt.Errorf("a value of type %T", value)
	}
}
