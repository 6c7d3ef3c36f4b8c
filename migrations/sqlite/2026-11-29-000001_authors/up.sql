-- Who chose a status, also where the work in hand keeps it from showing for a while.
ALTER TABLE agent_states ADD COLUMN status_by TEXT;
ALTER TABLE agent_states ADD COLUMN next_by TEXT;
-- Of what a deadline leads to: why that was chosen, and by whom.
ALTER TABLE agent_marks ADD COLUMN then_reason TEXT;
ALTER TABLE agent_marks ADD COLUMN then_by TEXT;
ALTER TABLE agent_times ADD COLUMN then_reason TEXT;
ALTER TABLE agent_times ADD COLUMN then_by TEXT;
