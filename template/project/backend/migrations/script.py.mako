"""${message}"""

from alembic import op

revision = ${repr(up_revision).replace("'", '"')}
down_revision = ${repr(down_revision).replace("'", '"')}
% if branch_labels:
branch_labels = ${repr(branch_labels).replace("'", '"')}
% endif


def upgrade() -> None:
    op.execute("")


def downgrade() -> None:
    op.execute("")
