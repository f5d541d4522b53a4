// What the containers of the tests run: tests/src/node/programs.rs builds it. Nothing but the standard library.
module latchkey.dev/tests/control-plane/pod

go 1.26.0
