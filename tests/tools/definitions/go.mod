// The definitions of the programs that deploy/examples is written for, as their own modules carry them. Nothing here is
// compiled: tests/src/definitions.rs has Go fetch the modules and hold them to go.sum.
module latchkey.dev/tests/tools/definitions

go 1.26.2

require (
	github.com/argoproj/argo-cd/v3 v3.3.0
	github.com/bitnami-labs/sealed-secrets v0.36.6
	github.com/external-secrets/external-secrets v1.3.2
	github.com/fluxcd/helm-controller v1.4.0
	github.com/fluxcd/kustomize-controller v1.7.3
	github.com/fluxcd/notification-controller v1.6.0
	github.com/fluxcd/source-controller v1.7.3
	github.com/prometheus-operator/prometheus-operator v0.85.0
)
