//! The tables as diesel sees them: the same on both databases. Migrations are in `migrations/`; a test compares them with this.

diesel::table! {
    applications (id) {
        id -> BigInt,
        login -> Text,
        body -> Text,
    }
}

diesel::table! {
    declared (application, kind, id) {
        application -> BigInt,
        kind -> Text,
        id -> Text,
        body -> Text,
        origin -> Text,
    }
}

diesel::table! {
    revision (id) {
        id -> BigInt,
        value -> BigInt,
    }
}

diesel::table! {
    tokens (id) {
        id -> Text,
        hash -> Text,
        role -> Text,
        application -> Nullable<BigInt>,
        agent -> Nullable<Text>,
        name -> Text,
        created_at -> BigInt,
        revoked_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    contacts (application, id) {
        application -> BigInt,
        id -> Text,
        key -> Text,
        name -> Text,
        phones -> Text,
        owner -> Nullable<Text>,
        deputy -> Nullable<Text>,
        external_id -> Nullable<Text>,
        origin -> Text,
    }
}

diesel::table! {
    contact_phones (application, phone) {
        application -> BigInt,
        phone -> Text,
        contact -> Text,
        owner -> Nullable<Text>,
        deputy -> Nullable<Text>,
    }
}

diesel::table! {
    journal (application, at, digest) {
        application -> BigInt,
        at -> BigInt,
        digest -> BigInt,
        received_at -> BigInt,
        hook -> Text,
        call_id -> Nullable<Text>,
        content_type -> Text,
        raw -> Binary,
        error -> Nullable<Text>,
    }
}

diesel::table! {
    calls (application, id) {
        application -> BigInt,
        id -> Text,
        pbx_call_id -> Text,
        direction -> Text,
        status -> Text,
        number -> Nullable<Text>,
        did -> Nullable<Text>,
        started_at -> BigInt,
        ended_at -> Nullable<BigInt>,
        first_received_at -> BigInt,
        version -> BigInt,
        facts -> Text,
        stored_at -> BigInt,
    }
}

diesel::table! {
    legs (application, call_stored_at, call_id, leg) {
        application -> BigInt,
        call_stored_at -> BigInt,
        call_id -> Text,
        leg -> Text,
        kind -> Text,
        sub_call_id -> Nullable<Text>,
        direction -> Text,
        status -> Text,
        number -> Nullable<Text>,
        did -> Nullable<Text>,
        extension -> Nullable<Text>,
        agent -> Nullable<Text>,
        place -> Nullable<Text>,
        started_at -> BigInt,
        answered_at -> Nullable<BigInt>,
        ended_at -> Nullable<BigInt>,
        talk_us -> BigInt,
        duration_us -> BigInt,
        transferred -> Bool,
        record_id -> Nullable<Text>,
        callback_id -> Nullable<Text>,
        source -> Text,
        logged_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    live_legs (application, call_id, leg) {
        application -> BigInt,
        call_id -> Text,
        leg -> Text,
        extension -> Text,
        answered -> Bool,
        since -> BigInt,
        check_at -> BigInt,
        given_up -> Bool,
    }
}

diesel::table! {
    agent_states (application, agent) {
        application -> BigInt,
        agent -> Text,
        extension -> Nullable<Text>,
        manual_status -> Text,
        manual_reason -> Nullable<Text>,
        next_status -> Nullable<Text>,
        next_reason -> Nullable<Text>,
        status_since -> BigInt,
        ringing -> Integer,
        talking -> Integer,
        claim_call -> Nullable<Text>,
        claim_until -> BigInt,
        wrap_until -> BigInt,
        cool_until -> BigInt,
        cool_cause -> Nullable<Text>,
        last_offered_at -> BigInt,
        engaged_since -> BigInt,
        misses -> Integer,
        queue_login -> Nullable<Text>,
        queue_login_since -> BigInt,
        mirror_to -> Nullable<Text>,
        mirror_at -> BigInt,
        status_by -> Nullable<Text>,
        next_by -> Nullable<Text>,
    }
}

diesel::table! {
    offers (application, id) {
        application -> BigInt,
        id -> Text,
        call_id -> Text,
        agent -> Text,
        extension -> Text,
        state -> Text,
        made_at -> BigInt,
        until -> BigInt,
        ended_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    decisions (application, id) {
        application -> BigInt,
        id -> Text,
        at -> BigInt,
        call_id -> Nullable<Text>,
        pbx_call_id -> Nullable<Text>,
        caller -> Text,
        outcome -> Text,
        agents -> Text,
        reason -> Text,
        candidates -> Text,
        inputs -> Text,
        took_us -> BigInt,
        late -> Bool,
    }
}

diesel::table! {
    callbacks (application, id) {
        application -> BigInt,
        id -> Text,
        idempotency_key -> Nullable<Text>,
        request -> Text,
        extension -> Text,
        src_num -> Text,
        dst_num -> Text,
        caller_id_name -> Nullable<Text>,
        caller_id_number -> Nullable<Text>,
        status -> Text,
        reason -> Nullable<Text>,
        unclear -> Bool,
        finished -> Bool,
        call_id -> Nullable<Text>,
        created_at -> BigInt,
        updated_at -> BigInt,
    }
}

diesel::table! {
    reconciliations (application) {
        application -> BigInt,
        settled_until -> BigInt,
        error -> Nullable<Text>,
        holder -> Nullable<Text>,
        held_until -> BigInt,
    }
}

diesel::table! {
    ami_links (application) {
        application -> BigInt,
        holder -> Nullable<Text>,
        held_until -> BigInt,
        up_since -> Nullable<BigInt>,
        down_since -> Nullable<BigInt>,
        down_why -> Nullable<Text>,
        version -> Nullable<Text>,
        watched_since -> Nullable<BigInt>,
    }
}

diesel::table! {
    outages (application, began_at) {
        application -> BigInt,
        began_at -> BigInt,
        ended_at -> Nullable<BigInt>,
        why -> Text,
    }
}

diesel::table! {
    record_links (application, id) {
        application -> BigInt,
        id -> Text,
        record_id -> Text,
        created_at -> BigInt,
        created_by -> Text,
        expires_at -> Nullable<BigInt>,
        revoked_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    record_plays (application, id) {
        application -> BigInt,
        id -> Text,
        record_id -> Text,
        link -> Nullable<Text>,
        by_whom -> Text,
        address -> Text,
        at -> BigInt,
    }
}

diesel::table! {
    records_deleted (application, record_id) {
        application -> BigInt,
        record_id -> Text,
        deleted_at -> BigInt,
    }
}

diesel::table! {
    facts (name) {
        name -> Text,
        value -> Text,
    }
}

diesel::table! {
    pbx_lines (application) {
        application -> BigInt,
        hour_limit -> Nullable<BigInt>,
        hour_left -> Nullable<BigInt>,
        resets_at -> BigInt,
        wait_until -> BigInt,
        wait_why -> Nullable<Text>,
        down_since -> Nullable<BigInt>,
        down_why -> Nullable<Text>,
        turn_until -> BigInt,
        turn_of -> Nullable<Text>,
        checked_at -> Nullable<BigInt>,
        findings -> Nullable<Text>,
    }
}

diesel::table! {
    provisioned (application, part) {
        application -> BigInt,
        part -> Text,
        body -> Text,
    }
}

diesel::table! {
    routed_calls (application, call_id) {
        application -> BigInt,
        call_id -> Text,
        pbx_call_id -> Text,
        caller -> Text,
        did -> Nullable<Text>,
        place -> Text,
        queue -> Nullable<Text>,
        entry -> Integer,
        entered_at -> BigInt,
        joined_at -> BigInt,
        rank_at -> BigInt,
        silent_at -> BigInt,
        waiting -> Bool,
        ended_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    queue_entries (application, call_id, entry) {
        application -> BigInt,
        call_id -> Text,
        entry -> Integer,
        queue -> Text,
        number -> Text,
        did -> Nullable<Text>,
        joined_at -> BigInt,
        ended_at -> Nullable<BigInt>,
        outcome -> Nullable<Text>,
        agent -> Nullable<Text>,
        answered_at -> Nullable<BigInt>,
        talk_us -> BigInt,
    }
}

diesel::table! {
    agent_marks (application, at, agent) {
        application -> BigInt,
        at -> BigInt,
        agent -> Text,
        state -> Text,
        reason -> Nullable<Text>,
        by_whom -> Text,
        then_at -> Nullable<BigInt>,
        then_state -> Nullable<Text>,
        then_reason -> Nullable<Text>,
        then_by -> Nullable<Text>,
    }
}

diesel::table! {
    agent_sums (application, at, agent, state, reason) {
        application -> BigInt,
        at -> BigInt,
        agent -> Text,
        state -> Text,
        reason -> Text,
        us -> BigInt,
    }
}

diesel::table! {
    agent_times (application, agent, at) {
        application -> BigInt,
        agent -> Text,
        at -> BigInt,
        state -> Text,
        reason -> Nullable<Text>,
        by_whom -> Text,
        then_at -> Nullable<BigInt>,
        then_state -> Nullable<Text>,
        then_reason -> Nullable<Text>,
        then_by -> Nullable<Text>,
    }
}

diesel::allow_tables_to_appear_in_same_query!(calls, legs, records_deleted);
