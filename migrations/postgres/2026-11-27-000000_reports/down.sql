DROP VIEW report_offers;
DROP VIEW report_agent_times;
DROP VIEW report_queue_intervals;
DROP VIEW report_queue_entries;
DROP VIEW report_legs;
DROP VIEW report_calls;
ALTER TABLE ami_links DROP COLUMN watched_since;
DROP TABLE outages;
