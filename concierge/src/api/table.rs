//! The `meta.k8s.io/v1` Table that `kubectl get` prints: always without rows, because nothing is stored.

use serde_json::{Value, json};

/// An empty table with the columns of Kubernetes' default convertor, so that `kubectl get latchkey` gets through.
#[must_use]
pub fn empty() -> Value {
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": "0"},
        "columnDefinitions": [
            {"name": "Name", "type": "string", "format": "name", "description": "Name of the request", "priority": 0},
            {"name": "Created At", "type": "date", "format": "", "description": "When it was made", "priority": 0},
        ],
        "rows": [],
    })
}
