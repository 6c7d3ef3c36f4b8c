//! Public numbers of an application, with their tags.

use crate::domain::spec::Number;

super::crud::crud!(Number, "number", "/apps/{app}/numbers", "/apps/{app}/numbers/{id}");
