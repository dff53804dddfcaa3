//! The API described for machines: OpenAPI 3.1, made from the tables of routes, problems and names.
//!
//! It is written to `docs/openapi.json`, which the API serves as it is, so that no start of a
//! function makes it; a test compares the two, and another asks every route that it names.

mod routes;
mod schemas;

use serde_json::{Map, Value, json};

pub use routes::{ROUTES, Route};

use crate::problem::Kind;

/// The document as it is served.
pub(crate) const DOCUMENT: &str = include_str!("../../../../docs/openapi.json");

/// What any route may answer besides its own.
const ANYWHERE: [Kind; 6] = [
    Kind::InvalidQuery,
    Kind::Unauthenticated,
    Kind::NoTenant,
    Kind::MissingScope,
    Kind::RateLimited,
    Kind::Internal,
];

/// Statuses that the gateway gives, too, before a request reaches the API; 404 for a path that it does
/// not pass on, as with a control character.
const OF_THE_GATEWAY: [&str; 6] = ["401", "403", "404", "429", "500", "503"];

/// `*`, or tags as replies name them.
const TAGS: &str = r#"^(\*|(W/)?"[!#-+\--~]+"(, *(W/)?"[!#-+\--~]+")*)$"#;

/// The document, made anew.
pub fn document() -> Value {
    let mut paths = Map::new();
    for route in &ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method] = operation(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Sealane", "version": env!("CARGO_PKG_VERSION"),
            "description": "Worksets that no region can take away, and what the system thinks of its regions. \
                            See docs/API.md for the rules that hold on every route.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" } },
            "schemas": schemas::all(),
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut operation = json!({
        "operationId": route.id,
        "summary": route.summary,
        "parameters": parameters(route),
        "responses": responses(route),
    });
    if route.scope.is_empty() {
        operation["security"] = json!([]);
    } else {
        operation["description"] = json!(format!("Needs the scope `{}`.", route.scope));
    }
    if let Some(schema) = route.body {
        let content = json!({ "application/json": { "schema": reference(schema) } });
        let required = schemas::needs_fields(schema);
        operation["requestBody"] = json!({ "required": required, "content": content });
    }
    operation
}

fn parameters(route: &Route) -> Vec<Value> {
    let path = ["id", "name"].into_iter().filter(|name| route.path.contains(&format!("{{{name}}}")));
    let path = path.map(|name| {
        let schema = match name {
            "id" if route.path.starts_with("/v1/uploads") => reference("UploadId"),
            "id" => reference("WorksetId"),
            _ => json!({ "type": "string" }),
        };
        json!({ "name": name, "in": "path", "required": true, "schema": schema })
    });
    let query = route.query.iter().map(
        |name| json!({ "name": name, "in": "query", "required": false, "schema": schemas::parameter(name) }),
    );
    let header = |name: &str, required: bool, schema: Value| json!({ "name": name, "in": "header", "required": required, "schema": schema });
    let tags =
        || json!({ "type": "string", "minLength": 1, "pattern": TAGS, "examples": ["\"3-us-west-2\""] });
    let key = json!({ "type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$" });
    let key = (route.method == "post").then(|| header("Idempotency-Key", true, key));
    let tag = match route.method {
        _ if is_tag_needed(route) => Some(header("If-Match", true, tags())),
        "post" if route.is_move => Some(header("If-Match", false, tags())),
        "get" if route.id == "showWorkset" => Some(header("If-None-Match", false, tags())),
        _ => None,
    };
    path.chain(query).chain(key).chain(tag).collect()
}

fn responses(route: &Route) -> Value {
    let mut responses = Map::new();
    for (status, what, schema) in route.replies {
        let mut reply = json!({ "description": what });
        if let Some(schema) = schema {
            let kind = schemas::media_type(schema);
            reply["content"] = json!({ kind: { "schema": reference(schema) } });
        }
        if let (201, Some((of, id))) = (status, made_by(route)) {
            reply["links"] = links(of, id);
        }
        responses.insert(status.to_string(), reply);
    }
    let open = if route.scope.is_empty() { &ANYWHERE[..0] } else { &ANYWHERE[..] };
    let writes: &[Kind] = if route.method == "post" { &routes::KEYED } else { &[] };
    for kind in open.iter().chain(writes).chain(route.problems) {
        let status = kind.status().as_u16().to_string();
        let told = format!("`{}`: {}", kind.name(), kind.title());
        let mut content = json!({ "application/problem+json": { "schema": reference("Problem") } });
        if OF_THE_GATEWAY.contains(&&*status) {
            content["application/json"] = json!({ "schema": reference("GatewayRefusal") });
        }
        let entry =
            responses.entry(status).or_insert_with(|| json!({ "description": "", "content": content }));
        let before = entry["description"].as_str().unwrap_or_default();
        let joint = if before.is_empty() { "" } else { "; " };
        if !before.contains(&told) {
            entry["description"] = json!(format!("{before}{joint}{told}"));
        }
    }
    Value::Object(responses)
}

/// What a call makes: where such a thing is reached, and where its reply names it.
fn made_by(route: &Route) -> Option<(&'static str, &'static str)> {
    match route.id {
        "registerWorkset" | "claimWorkset" => Some(("/v1/worksets/{id}", "$response.body#/workset/id")),
        "beginUpload" => Some(("/v1/uploads/{id}", "$response.body#/upload/id")),
        _ => None,
    }
}

/// What can be done with the thing that a reply names, by operation.
fn links(of: &str, id: &str) -> Value {
    let to = |route: &&Route| route.path.starts_with(of);
    let link = |route: &Route| {
        let mut parameters = json!({ "id": id });
        if is_tag_needed(route) {
            parameters["header.If-Match"] = json!("$response.header.etag");
        }
        (route.id.to_owned(), json!({ "operationId": route.id, "parameters": parameters }))
    };
    ROUTES.iter().filter(to).map(link).collect::<Map<_, _>>().into()
}

/// Whether a write has to name the version that it was decided on.
fn is_tag_needed(route: &Route) -> bool {
    route.is_move && matches!(route.method, "patch" | "delete")
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}
