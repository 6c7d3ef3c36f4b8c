ALTER TABLE legs DROP CONSTRAINT legs_pkey, ADD PRIMARY KEY (application, call_id, leg);
ALTER TABLE legs DROP COLUMN call_stored_at;
ALTER TABLE calls DROP COLUMN stored_at;
