//! Reading and writing the lists that an application declares: the same for all of them.

use actix_web::{HttpRequest, HttpResponse, http::header};
use serde::Serialize;
use serde_json::Value;

use crate::auth::Action;
use crate::declare::edit;
use crate::domain::declared::Declared;
use crate::http::body::decode;
use crate::http::error::Failure;
use crate::http::extract::AppPath;
use crate::http::query::{Items, Page};

pub fn list<T: Declared>(at: &AppPath, page: &Page) -> Result<Items<T>, Failure> {
    list_of(at, page, |_| true)
}

/// A page of those entries that are wanted.
pub fn list_of<T: Declared>(at: &AppPath, page: &Page, is_wanted: impl Fn(&T) -> bool) -> Result<Items<T>, Failure> {
    at.must(Action::ReadSettings)?;
    let wanted = T::list(&at.app.spec).iter().filter(|item| is_wanted(item)).cloned().collect();
    Items::of_all(wanted, page, |item: &T| item.key().to_owned())
}

pub fn get<T: Declared>(at: &AppPath, key: &str) -> Result<T, Failure> {
    at.must(Action::ReadSettings)?;
    find(at, key).cloned()
}

/// The entry of this name.
pub fn find<'a, T: Declared>(at: &'a AppPath, key: &str) -> Result<&'a T, Failure> {
    T::list(&at.app.spec).iter().find(|item| item.key() == key).ok_or_else(|| Failure::missing(T::WHAT, key))
}

pub async fn create<T: Declared>(at: &AppPath, body: Value) -> Result<T, Failure> {
    at.must(Action::WriteSettings)?;
    let (item, app, clock) = (decode::<T>(body)?, at.id(), at.hookflash.clock.clone());
    at.declare(move |conn| Ok(edit::create(conn, app, item.clone(), clock.now())?)).await
}

/// The name stands in the path; in the body it may be left out, and must not be another.
pub async fn replace<T: Declared>(at: &AppPath, key: &str, mut body: Value) -> Result<T, Failure> {
    at.must(Action::WriteSettings)?;
    if let Some(fields) = body.as_object_mut() {
        let named = fields.entry(T::KEY).or_insert_with(|| key.into());
        if named != key {
            return Err(Failure::field(T::KEY, format!("is not {key:?}, which the path names; it cannot be changed")));
        }
    }
    let (item, app, clock) = (decode::<T>(body)?, at.id(), at.hookflash.clock.clone());
    at.declare(move |conn| Ok(edit::replace(conn, app, item.clone(), clock.now())?)).await
}

pub async fn remove<T: Declared>(at: &AppPath, key: String, force: bool) -> Result<HttpResponse, Failure> {
    at.must(Action::WriteSettings)?;
    let (app, clock) = (at.id(), at.hookflash.clock.clone());
    at.declare(move |conn| Ok(edit::remove::<T>(conn, app, &key, Vec::new(), force, clock.now())?)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// 201 with the new thing and where it is: under the collection that was posted to.
pub fn created(request: &HttpRequest, key: &str, body: &impl Serialize) -> HttpResponse {
    let name = key.replace('+', "%2B");
    HttpResponse::Created().insert_header((header::LOCATION, format!("{}/{name}", request.path()))).json(body)
}

/// The five routes of a list whose entries are shown as they are declared: the type, what one is called, and the two paths. `of`: the field
/// that names what an entry is a part of, by which the list can be narrowed.
macro_rules! crud {
    ($item:ty, $one:literal, $all_path:literal, $one_path:literal) => {
        $crate::http::api::crud::crud!(@ $item, $one, $all_path, $one_path, Page, crud::list);
    };
    ($item:ty, $one:literal, $all_path:literal, $one_path:literal, of $whole:ident) => {
        /// Which page of the list, and of what.
        #[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
        #[serde(deny_unknown_fields)]
        #[into_params(parameter_in = Query)]
        struct Wanted {
            /// Only what belongs to this one.
            $whole: Option<String>,
            /// Items in one answer: 1 to 500, 50 without it.
            #[serde(default)]
            #[param(value_type = Option<i64>, minimum = 1, maximum = 500, default = 50)]
            limit: $crate::http::query::Limit,
            /// `next_cursor` of the page before.
            cursor: Option<String>,
        }

        fn wanted(at: &AppPath, query: &Wanted) -> Result<Items<$item>, Failure> {
            let page = Page { limit: query.limit, cursor: query.cursor.clone() };
            crud::list_of(at, &page, |item: &$item| query.$whole.as_ref().is_none_or(|whole| *whole == item.$whole))
        }

        $crate::http::api::crud::crud!(@ $item, $one, $all_path, $one_path, Wanted, wanted);
    };
    (@ $item:ty, $one:literal, $all_path:literal, $one_path:literal, $query:ident, $list:path) => {
        use actix_web::web::Json as Answer;
        use actix_web::{HttpRequest, HttpResponse, delete, get, post, put};
        use serde_json::Value;
        use utoipa_actix_web::service_config::ServiceConfig;

        use $crate::domain::declared::Declared;
        use $crate::http::api::crud;
        use $crate::http::body::Json;
        use $crate::http::error::Failure;
        use $crate::http::extract::{AppPath, Id};
        use $crate::http::query::{Force, Items, Page, Query};

        pub fn configure(cfg: &mut ServiceConfig) {
            cfg.service(list).service(create).service(read).service(replace).service(remove);
        }

        #[utoipa::path(params($query), summary = concat!("List every ", $one), responses((status = 200, body = Items<$item>)))]
        #[get($all_path)]
        async fn list(at: AppPath, Query(query): Query<$query>) -> Result<Answer<Items<$item>>, Failure> {
            Ok(Answer($list(&at, &query)?))
        }

        #[utoipa::path(summary = concat!("Declare a new ", $one), request_body = $item, responses((status = 201, body = $item)))]
        #[post($all_path)]
        async fn create(request: HttpRequest, at: AppPath, Json(body): Json<Value>) -> Result<HttpResponse, Failure> {
            let item = crud::create::<$item>(&at, body).await?;
            Ok(crud::created(&request, item.key(), &item))
        }

        #[utoipa::path(summary = concat!("One ", $one), responses((status = 200, body = $item)))]
        #[get($one_path)]
        async fn read(at: AppPath, id: Id) -> Result<Answer<$item>, Failure> {
            Ok(Answer(crud::get(&at, &id.0)?))
        }

        #[utoipa::path(summary = concat!("Replace one ", $one), request_body = $item, responses((status = 200, body = $item)))]
        #[put($one_path)]
        async fn replace(at: AppPath, id: Id, Json(body): Json<Value>) -> Result<Answer<$item>, Failure> {
            Ok(Answer(crud::replace(&at, &id.0, body).await?))
        }

        #[utoipa::path(params(Force), summary = concat!("Delete one ", $one), responses((status = 204)))]
        #[delete($one_path)]
        async fn remove(at: AppPath, id: Id, Query(query): Query<Force>) -> Result<HttpResponse, Failure> {
            crud::remove::<$item>(&at, id.0, query.force).await
        }
    };
}
pub(crate) use crud;
