//! The OpenAPI document: made of the very routes that are registered, and asked by the server what a path takes.
//!
//! Handlers annotate only what is their own: a summary, the body, the answer. What holds for all of them (the path's parameters, the
//! token, the errors, names and tags) is added here, once.

use std::collections::HashMap;
use std::sync::LazyLock;

use actix_web::http::Method;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Required, ResponseBuilder};
use utoipa::{PartialSchema, ToSchema};
use utoipa_actix_web::OpenApiFactory;

use super::api;
use super::error::{FieldError, Problem};

/// Where the API is.
pub const BASE: &str = "/api/v1";

/// The document, with what the server asks it.
pub struct Document {
    pub api: OpenApi,
    /// By path (`/api/v1/apps/{app}/agents`): the methods, and whether each takes query parameters.
    routes: HashMap<String, Vec<(Method, bool)>>,
}

/// The document of every route of [`api::configure`]. It is made once: the routes are the same for every server.
pub static DOCUMENT: LazyLock<Document> = LazyLock::new(Document::new);

impl Document {
    fn new() -> Document {
        let scope = utoipa_actix_web::scope(BASE).configure(api::configure);
        let mut schemas = vec![(Problem::name().into(), Problem::schema()), (FieldError::name().into(), FieldError::schema())];
        scope.schemas(&mut schemas);
        let mut paths = scope.paths();
        let mut routes = HashMap::new();
        for (path, item) in &mut paths.paths {
            let mut methods = Vec::new();
            for (method, name, operation) in operations(item) {
                complete(path, name, operation);
                let queried = |p: &RefOr<Parameter>| matches!(p, RefOr::T(p) if p.parameter_in == ParameterIn::Query);
                methods.push((method, operation.parameters.iter().flatten().any(queried)));
            }
            routes.insert(path.clone(), methods);
        }
        let components = ComponentsBuilder::new()
            .schemas_from_iter(schemas)
            .security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)))
            .build();
        let info = InfoBuilder::new().title("Hookflash").version(env!("CARGO_PKG_VERSION")).description(Some(DESCRIPTION));
        let api = OpenApiBuilder::new().info(info.build()).paths(paths).components(Some(components)).build();
        Document { api, routes }
    }

    /// The methods that a registered path takes.
    pub fn methods(&self, pattern: &str) -> Vec<Method> {
        self.routes.get(pattern).into_iter().flatten().map(|(method, _)| method.clone()).collect()
    }

    /// False when the route is known to take no query parameters.
    pub fn takes_query(&self, method: &Method, pattern: &str) -> bool {
        let routes = self.routes.get(pattern).into_iter().flatten();
        routes.filter(|(m, _)| m == method).all(|(_, queried)| *queried)
    }
}

const DESCRIPTION: &str = "Times are RFC 3339 in UTC, durations whole milliseconds (`_ms`) or seconds (`_s`), phone numbers E.164. \
Errors are RFC 9457 problem documents. Unknown fields and unknown query parameters are errors. \
A list gives `next_cursor` for its next page.";

/// The operations of a path with their methods and the word that begins their names.
fn operations(item: &mut PathItem) -> Vec<(Method, &'static str, &mut Operation)> {
    let all = [
        (Method::GET, "get", &mut item.get),
        (Method::POST, "post", &mut item.post),
        (Method::PUT, "put", &mut item.put),
        (Method::DELETE, "delete", &mut item.delete),
        (Method::PATCH, "patch", &mut item.patch),
        (Method::HEAD, "head", &mut item.head),
    ];
    all.into_iter().filter_map(|(method, name, operation)| Some((method, name, operation.as_mut()?))).collect()
}

/// Adds what every operation has.
fn complete(path: &str, method: &str, operation: &mut Operation) {
    let parts: Vec<&str> = path.trim_start_matches(BASE).trim_start_matches("/apps/{app}").split('/').filter(|p| !p.is_empty()).collect();
    let resource = parts.first().copied().filter(|p| !p.starts_with('{')).unwrap_or("apps");
    operation.tags = Some(vec![resource.to_owned()]);
    let words: Vec<String> = path.trim_start_matches(BASE).split('/').map(|p| p.replace(['{', '}'], "").replace('-', "_")).collect();
    operation.operation_id = Some(format!("{method}{}", words.join("_")));
    operation.security = Some(vec![SecurityRequirement::new("token", Vec::<String>::new())]);
    for name in path.split('/').filter_map(|p| p.strip_prefix('{')?.strip_suffix('}')) {
        let (kind, told) = if name == "app" { (Type::Integer, "The application's number") } else { (Type::String, "The name") };
        let parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .description(Some(told))
            .schema(Some(ObjectBuilder::new().schema_type(kind)));
        operation.parameters.get_or_insert_default().insert(0, RefOr::T(parameter.build()));
    }
    let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name(Problem::name()))).build();
    let problem = ResponseBuilder::new().description("A problem document").content("application/problem+json", problem).build();
    operation.responses.responses.insert("default".into(), RefOr::T(problem));
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            response.description = match status.as_str() {
                "201" => "Made; Location says where it is".into(),
                "204" => "Done".into(),
                _ => "Done, and this is it".into(),
            };
        }
    }
}
