//! Business hours: when queues are open.

use crate::domain::hours::BusinessHours;

super::crud::crud!(BusinessHours, "set of business hours", "/apps/{app}/business-hours", "/apps/{app}/business-hours/{id}");
