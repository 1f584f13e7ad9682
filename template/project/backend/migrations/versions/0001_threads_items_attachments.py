"""Threads, items with the feedback on them, and attachments."""

from alembic import op

revision = "0001"
down_revision = None

# `seq` gives the order: created_at repeats, and clocks are set back. It has no index of its own, or
# PostgreSQL might look for a page through the records of everyone. Ids are compared, never sorted:
# the collation "C" needs no rebuilt index when the system's collations change.
TABLES = (
    """
    CREATE TABLE threads (
        owner text COLLATE "C" NOT NULL,
        seq bigint GENERATED ALWAYS AS IDENTITY,
        id text COLLATE "C" NOT NULL,
        data text NOT NULL,
        PRIMARY KEY (owner, seq),
        UNIQUE (owner, id)
    )
    """,
    """
    CREATE TABLE items (
        owner text COLLATE "C" NOT NULL,
        thread bigint NOT NULL,
        seq bigint GENERATED ALWAYS AS IDENTITY,
        id text COLLATE "C" NOT NULL,
        data text NOT NULL,
        feedback text,
        PRIMARY KEY (thread, seq),
        UNIQUE (thread, id),
        FOREIGN KEY (owner, thread) REFERENCES threads (owner, seq) ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE attachments (
        owner text COLLATE "C" NOT NULL,
        id text COLLATE "C" NOT NULL,
        thread_id text COLLATE "C",
        data text NOT NULL,
        PRIMARY KEY (owner, id)
    )
    """,
    "CREATE INDEX attachments_of_thread ON attachments (owner, thread_id)",
)


def upgrade() -> None:
    for statement in TABLES:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE attachments, items, threads")
