//! `OpenAPI` of the virtual resources, made once at start from the schemas of the types: what `kubectl explain` prints and
//! what clients validate against.

use std::collections::HashMap;

use latchkey_crds::{
    groups::{GroupSuffix, VERSION},
    openapi as schemas,
};
use serde_json::{Map, Value, json};

use super::{discovery::Resource, respond::Document};

/// All `OpenAPI` documents.
#[derive(Clone, Debug)]
pub struct OpenApi {
    /// `/openapi/v2`, Swagger 2.0, all groups in one.
    pub v2: Document,
    /// `/openapi/v3`, the index.
    pub v3: Document,
    /// `/openapi/v3/apis/<group>/<version>`, by path.
    pub by_path: HashMap<String, Document>,
}

/// Where a specification keeps its models, and how it says what Kubernetes needs to be told.
#[derive(Clone, Copy, Debug)]
enum Dialect {
    V2,
    V3,
}

/// Name of the model of `metadata`: the one that every Kubernetes client knows.
const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// Fields of the metadata of an object, for `explain`.
const METADATA: [(&str, &str, &str); 10] = [
    ("annotations", "object", "Accepted and ignored: nothing is stored."),
    ("creationTimestamp", "string", "Accepted and ignored: nothing is stored."),
    ("finalizers", "array", "Accepted and ignored: nothing is stored."),
    ("generateName", "string", "Accepted and ignored: nothing is stored."),
    ("labels", "object", "Accepted and ignored: nothing is stored."),
    ("managedFields", "array", "Accepted and ignored: nothing is stored."),
    ("name", "string", "Accepted and ignored: nothing is stored."),
    ("namespace", "string", "Must be empty: the kind is cluster-scoped."),
    ("resourceVersion", "string", "Accepted and ignored: nothing is stored."),
    ("uid", "string", "Accepted and ignored: nothing is stored."),
];

/// Query parameters of a create request.
const CREATE_PARAMETERS: [(&str, &str); 4] = [
    ("dryRun", "Not supported: a credential cannot be made on trial. Any value is refused."),
    ("fieldManager", "Accepted and ignored: nothing is stored."),
    ("fieldValidation", "What to do about unknown or duplicate fields: Ignore, Warn (the default) or Strict."),
    ("pretty", "If true, the answer is indented."),
];

/// The schemas of one resource and of its list.
struct Models {
    resource: Resource,
    object: Value,
    list: Value,
}

// === impl OpenApi ===

impl OpenApi {
    /// The documents for the resources under `suffix`.
    #[must_use]
    pub fn new(suffix: &GroupSuffix) -> Self {
        let [login, identity] = Resource::all(suffix);
        let models = [
            Models {
                resource: login,
                object: schemas::token_credential_request(),
                list: schemas::token_credential_request_list(),
            },
            Models { resource: identity, object: schemas::who_am_i_request(), list: schemas::who_am_i_request_list() },
        ];
        let mut by_path = HashMap::new();
        let mut index = Map::new();
        for models in &models {
            let version = models.resource.api_version();
            let document = Document::new("application/json", &v3(models, suffix));
            let path = format!("/openapi/v3/apis/{version}");
            let url = format!("{path}?hash={}", document.hash());
            index.insert(format!("apis/{version}"), json!({"serverRelativeURL": url}));
            by_path.insert(path, document);
        }
        Self {
            v2: Document::new("application/json", &v2(&models, suffix)),
            v3: Document::new("application/json", &json!({"paths": index})),
            by_path,
        }
    }
}

fn v3(models: &Models, suffix: &GroupSuffix) -> Value {
    let dialect = Dialect::V3;
    let mut document = json!({"openapi": "3.0.0", "info": info(), "paths": paths(models, suffix, dialect)});
    document["components"] = json!({"schemas": definitions([models], suffix, dialect)});
    document
}

fn v2(models: &[Models; 2], suffix: &GroupSuffix) -> Value {
    let dialect = Dialect::V2;
    let mut all = Map::new();
    for models in models {
        if let Value::Object(paths) = paths(models, suffix, dialect) {
            all.extend(paths);
        }
    }
    json!({"swagger": "2.0", "info": info(), "paths": all, "definitions": definitions(models, suffix, dialect)})
}

fn info() -> Value {
    json!({"title": "Latchkey", "version": concat!("v", env!("CARGO_PKG_VERSION"))})
}

fn definitions<'a>(
    models: impl IntoIterator<Item = &'a Models>,
    suffix: &GroupSuffix,
    dialect: Dialect,
) -> Map<String, Value> {
    let mut definitions = Map::from_iter([(OBJECT_META.to_owned(), object_meta())]);
    for models in models {
        let resource = &models.resource;
        for (kind, schema) in [(resource.kind, &models.object), (resource.list_kind, &models.list)] {
            let mut schema = schema.clone();
            if kind == resource.kind {
                let metadata = dialect.reference(OBJECT_META, "Standard object's metadata. Accepted and ignored.");
                schema["properties"]["metadata"] = metadata;
            } else {
                schema["properties"]["items"]["items"] =
                    dialect.plain_reference(&model(suffix, resource, resource.kind));
            }
            schema["x-kubernetes-group-version-kind"] = json!([group_version_kind(resource, kind)]);
            definitions.insert(model(suffix, resource, kind), schema);
        }
    }
    definitions
}

/// `dev.latchkey.apis.concierge.login.v1alpha1.TokenCredentialRequest`: Kubernetes names models by the reversed domain.
fn model(suffix: &GroupSuffix, resource: &Resource, kind: &str) -> String {
    let mut domain: Vec<&str> = suffix.as_str().split('.').collect();
    domain.reverse();
    let group = resource.group.split('.').next().unwrap_or_default();
    format!("{}.apis.concierge.{group}.{VERSION}.{kind}", domain.join("."))
}

fn object_meta() -> Value {
    let property = |(name, kind, description): &(&str, &str, &str)| {
        let mut property = json!({"type": kind, "description": description});
        match *kind {
            "object" => property["additionalProperties"] = json!({"type": "string"}),
            "array" if *name == "managedFields" => property["items"] = json!({"type": "object"}),
            "array" => property["items"] = json!({"type": "string"}),
            _ => {}
        }
        ((*name).to_owned(), property)
    };
    let properties: Map<String, Value> = METADATA.iter().map(property).collect();
    json!({
        "description": "The metadata that every Kubernetes object has. These objects are answered and not stored.",
        "type": "object",
        "properties": properties,
    })
}

fn group_version_kind(resource: &Resource, kind: &str) -> Value {
    json!({"group": resource.group, "version": VERSION, "kind": kind})
}

fn paths(models: &Models, suffix: &GroupSuffix, dialect: Dialect) -> Value {
    let resource = &models.resource;
    let object = dialect.plain_reference(&model(suffix, resource, resource.kind));
    let list = dialect.plain_reference(&model(suffix, resource, resource.list_kind));
    let mut create = operation(resource, "create", "post", &format!("create a {}", resource.kind));
    create["parameters"] =
        CREATE_PARAMETERS.iter().map(|(name, description)| dialect.parameter(name, description)).collect();
    dialect.body(&mut create, &object);
    create["responses"] = dialect.answer("201", "Created", &object);
    let mut find = operation(resource, "list", "list", &format!("list no {}: none is stored", resource.kind));
    find["responses"] = dialect.answer("200", "OK", &list);
    json!({ resource.path.clone(): {"get": find, "post": create} })
}

fn operation(resource: &Resource, verb: &str, action: &str, description: &str) -> Value {
    let id = format!("{verb}{}{}", resource.group.replace(['.', '-'], "_"), resource.kind);
    json!({
        "description": description,
        "operationId": id,
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": group_version_kind(resource, resource.kind),
    })
}

// === impl Dialect ===

impl Dialect {
    fn plain_reference(self, model: &str) -> Value {
        match self {
            Self::V2 => json!({"$ref": format!("#/definitions/{model}")}),
            Self::V3 => json!({"$ref": format!("#/components/schemas/{model}")}),
        }
    }

    /// In `OpenAPI` 3.0 a reference may have no neighbours, hence the `allOf`; Swagger 2.0 as Kubernetes writes it has them.
    fn reference(self, model: &str, description: &str) -> Value {
        let mut reference = match self {
            Self::V2 => self.plain_reference(model),
            Self::V3 => json!({"allOf": [self.plain_reference(model)], "default": {}}),
        };
        reference["description"] = description.into();
        reference
    }

    fn parameter(self, name: &str, description: &str) -> Value {
        let mut parameter = json!({"name": name, "in": "query", "description": description});
        match self {
            Self::V2 => {
                parameter["type"] = "string".into();
                parameter["uniqueItems"] = true.into();
            }
            Self::V3 => parameter["schema"] = json!({"type": "string", "uniqueItems": true}),
        }
        parameter
    }

    fn body(self, operation: &mut Value, object: &Value) {
        match self {
            Self::V2 => {
                operation["consumes"] = json!(["application/json", "application/yaml"]);
                operation["produces"] = json!(["application/json"]);
                if let Some(parameters) = operation["parameters"].as_array_mut() {
                    parameters.push(json!({"name": "body", "in": "body", "required": true, "schema": object}));
                }
            }
            Self::V3 => {
                let content = json!({"application/json": {"schema": object}, "application/yaml": {"schema": object}});
                operation["requestBody"] = json!({"required": true, "content": content});
            }
        }
    }

    fn answer(self, code: &str, description: &str, schema: &Value) -> Value {
        match self {
            Self::V2 => json!({code: {"description": description, "schema": schema}}),
            Self::V3 => {
                json!({code: {"description": description, "content": {"application/json": {"schema": schema}}}})
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> (GroupSuffix, [Models; 2]) {
        let suffix: GroupSuffix = "pinniped.dev".parse().unwrap();
        let [login, identity] = Resource::all(&suffix);
        let models = [
            Models {
                resource: login,
                object: schemas::token_credential_request(),
                list: schemas::token_credential_request_list(),
            },
            Models { resource: identity, object: schemas::who_am_i_request(), list: schemas::who_am_i_request_list() },
        ];
        (suffix, models)
    }

    /// Every `$ref` in `value` must be answered by a model.
    fn references(value: &Value, prefix: &str, models: &Map<String, Value>) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::String(target)) = fields.get("$ref") {
                    let model = target.strip_prefix(prefix).unwrap_or_else(|| panic!("{target}"));
                    assert!(models.contains_key(model), "{model}");
                }
                fields.values().for_each(|value| references(value, prefix, models));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, prefix, models)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_to_a_model() {
        let (suffix, models) = all();
        let document = v2(&models, &suffix);
        references(&document, "#/definitions/", document["definitions"].as_object().unwrap());
        for models in &models {
            let document = v3(models, &suffix);
            references(&document, "#/components/schemas/", document["components"]["schemas"].as_object().unwrap());
        }
    }

    #[test]
    fn models_carry_the_group_of_the_installation() {
        let (suffix, models) = all();
        let document = v3(&models[0], &suffix);
        let model = "dev.pinniped.apis.concierge.login.v1alpha1.TokenCredentialRequest";
        let found = &document["components"]["schemas"][model];
        assert_eq!(
            found["x-kubernetes-group-version-kind"],
            json!([{"group": "login.concierge.pinniped.dev", "version": "v1alpha1", "kind": "TokenCredentialRequest"}])
        );
        assert_eq!(found["properties"]["spec"]["properties"]["token"]["type"], "string");
        assert!(document["paths"].get("/apis/login.concierge.pinniped.dev/v1alpha1/tokencredentialrequests").is_some());
    }

    #[test]
    fn the_index_names_the_hash_of_each_document() {
        let openapi = OpenApi::new(&GroupSuffix::default());
        let path = "/openapi/v3/apis/identity.concierge.latchkey.dev/v1alpha1";
        assert_eq!(openapi.by_path.len(), 2);
        assert!(!openapi.by_path[path].hash().is_empty());
    }
}
