"""The promoter's phone: one-time codes, OpenID, consents, pictures; notices by several channels."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0037_phone"
down_revision = "0036_sharing"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    _users()
    _codes()
    _identities()
    _notices()
    _products()


def _users() -> None:
    op.add_column("users", sa.Column("phone", sa.Text))
    op.add_column("users", sa.Column("erased_at", TIME))
    op.add_column("users", sa.Column("currency", sa.CHAR(3)))
    op.add_column("users", sa.Column("quiet_from", sa.BigInteger, server_default="1320"))
    op.add_column("users", sa.Column("quiet_until", sa.BigInteger, server_default="480"))
    op.alter_column("users", "quiet_from", server_default=None)
    op.alter_column("users", "quiet_until", server_default=None)
    op.create_unique_constraint("users_phone_key", "users", ["phone"])
    op.drop_constraint("users_people_have_mail_check", "users")
    op.create_check_constraint(
        "users_people_can_be_reached_check",
        "users",
        "is_service OR erased_at IS NOT NULL OR num_nonnulls(email, phone) > 0",
    )
    op.create_table(
        "avatars",
        sa.Column("promoter_id", sa.BigInteger, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("picture", sa.LargeBinary, nullable=False),
        sa.Column("mark", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(["promoter_id"], ["promoters.id"], name="avatars_promoter_id_fkey"),
        sa.PrimaryKeyConstraint("promoter_id", name="avatars_pkey"),
    )
    op.create_table(
        "consents",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("locale", sa.Text, nullable=False),
        sa.Column("words", sa.Text, nullable=False),
        sa.Column("terms_url", sa.Text),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="consents_user_id_fkey"),
        sa.PrimaryKeyConstraint("id", name="consents_pkey"),
    )
    op.create_index("consents_user_id_idx", "consents", ["user_id"])


def _codes() -> None:
    op.create_table(
        "one_time_codes",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("secret_hash", sa.LargeBinary, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("locale", sa.Text, nullable=False),
        sa.Column("newcomer", postgresql.JSONB),
        sa.Column("code_hash", sa.LargeBinary),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("used_at", TIME),
        sa.CheckConstraint("channel IN ('mail', 'sms')", name="one_time_codes_channel_check"),
        sa.PrimaryKeyConstraint("id", name="one_time_codes_pkey"),
        sa.UniqueConstraint("secret_hash", name="one_time_codes_secret_hash_key"),
    )
    op.create_index("one_time_codes_expires_at_idx", "one_time_codes", ["expires_at"])


def _identities() -> None:
    op.create_table(
        "identities",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("used_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="identities_user_id_fkey"),
        sa.PrimaryKeyConstraint("id", name="identities_pkey"),
        sa.UniqueConstraint("issuer", "subject", name="identities_issuer_subject_key"),
        sa.UniqueConstraint("user_id", "issuer", name="identities_user_id_issuer_key"),
    )
    op.create_index("identities_user_id_idx", "identities", ["user_id"])


def _notices() -> None:
    op.alter_column("notices", "user_id", nullable=True)
    for name, default in (("channel", "mail"), ("kind", "safety")):
        op.add_column("notices", sa.Column(name, sa.Text, nullable=False, server_default=default))
        op.alter_column("notices", name, server_default=None)
    op.add_column("notices", sa.Column("path", sa.Text))
    op.add_column("notices", sa.Column("good_until", TIME))
    op.add_column("notices", sa.Column("held", sa.Boolean, nullable=False, server_default="false"))
    op.alter_column("notices", "held", server_default=None)
    op.add_column("notices", sa.Column("with_id", sa.BigInteger))
    op.add_column("notices", sa.Column("seen_at", TIME))
    op.create_foreign_key("notices_with_id_fkey", "notices", "notices", ["with_id"], ["id"])
    op.create_check_constraint(
        "notices_channel_check", "notices", "channel IN ('mail', 'sms', 'in_app', 'push', 'wechat')"
    )
    op.drop_constraint("notices_event_id_user_id_key", "notices")
    op.create_unique_constraint(
        "notices_event_id_user_id_channel_address_key",
        "notices",
        ["event_id", "user_id", "channel", "address"],
        postgresql_nulls_not_distinct=True,
    )
    op.drop_index("notices_user_id_idx", "notices")
    op.create_index("notices_user_id_idx", "notices", ["user_id", "channel", "id"])
    op.create_index(
        "notices_with_id_idx",
        "notices",
        ["with_id"],
        postgresql_where=sa.text("with_id IS NOT NULL"),
    )
    op.create_table(
        "notice_choices",
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("channels", postgresql.ARRAY(sa.Text), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="notice_choices_user_id_fkey"),
        sa.PrimaryKeyConstraint("user_id", "kind", name="notice_choices_pkey"),
    )
    op.create_table(
        "push_subscriptions",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("session_id", sa.BigInteger, nullable=False),
        sa.Column("endpoint", sa.Text, nullable=False),
        sa.Column("p256dh", sa.LargeBinary, nullable=False),
        sa.Column("auth", sa.LargeBinary, nullable=False),
        sa.Column("user_agent", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="push_subscriptions_user_id_fkey"),
        sa.ForeignKeyConstraint(
            ["session_id"],
            ["user_sessions.id"],
            name="push_subscriptions_session_id_fkey",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="push_subscriptions_pkey"),
        sa.UniqueConstraint("endpoint", name="push_subscriptions_endpoint_key"),
    )
    for column in ("user_id", "session_id"):
        op.create_index(f"push_subscriptions_{column}_idx", "push_subscriptions", [column])
    op.create_table(
        "wechat_followers",
        sa.Column("user_id", sa.BigInteger, nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("openid", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="wechat_followers_user_id_fkey"),
        sa.PrimaryKeyConstraint("user_id", name="wechat_followers_pkey"),
    )


# NFKD takes accents apart and makes full-width letters plain; then nothing depends on a locale.
PLAIN = r"""
CREATE FUNCTION plain_text(said text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN lower(regexp_replace(normalize(said, NFKD), '[\u0300-\u036f]', '', 'g'))
"""
# A single character counts where it is a word: 茶.
GRAMS = r"""
CREATE FUNCTION text_grams(said text) RETURNS text[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT coalesce(array_agg(DISTINCT gram), '{}')
      FROM regexp_split_to_table(
               plain_text(said),
               '[\u0001-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00bf\u2000-\u206f\u3000-\u303f]+'
           ) AS word
     CROSS JOIN LATERAL (
               SELECT substr(word, place, 2) AS gram
                 FROM generate_series(1, greatest(length(word) - 1, 1)) AS place
               UNION ALL
               SELECT letter FROM regexp_split_to_table(word, '') AS letter
                WHERE letter >= '⺀' COLLATE "C"
           ) AS grams
     WHERE word <> '';
END
"""


def _products() -> None:
    op.execute(PLAIN)
    op.execute(GRAMS)
    op.add_column(
        "products",
        sa.Column(
            "grams",
            postgresql.ARRAY(sa.Text),
            sa.Computed(
                "text_grams((title || ' '::text) || COALESCE(category, ''::text))", persisted=True
            ),
            nullable=False,
        ),
    )
    op.create_index("products_grams_idx", "products", ["grams"], postgresql_using="gin")
    op.create_table(
        "sold_together",
        sa.Column("merchant_id", sa.BigInteger, nullable=False),
        sa.Column("product_id", sa.BigInteger, nullable=False),
        sa.Column("other_id", sa.BigInteger, nullable=False),
        sa.Column("promoters", sa.BigInteger, nullable=False),
        sa.ForeignKeyConstraint(
            ["merchant_id"], ["merchants.id"], name="sold_together_merchant_id_fkey"
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "product_id"],
            ["products.merchant_id", "products.id"],
            name="sold_together_merchant_id_product_id_fkey",
        ),
        sa.ForeignKeyConstraint(
            ["merchant_id", "other_id"],
            ["products.merchant_id", "products.id"],
            name="sold_together_merchant_id_other_id_fkey",
        ),
        sa.PrimaryKeyConstraint("merchant_id", "product_id", "other_id", name="sold_together_pkey"),
    )


def downgrade() -> None:
    op.drop_table("sold_together")
    op.drop_index("products_grams_idx", "products")
    op.drop_column("products", "grams")
    op.execute("DROP FUNCTION text_grams(text)")
    op.execute("DROP FUNCTION plain_text(text)")
    for table in (
        "wechat_followers", "push_subscriptions", "notice_choices", "identities", "one_time_codes",
        "consents", "avatars",
    ):  # fmt: skip
        op.drop_table(table)
    op.execute("DELETE FROM notices WHERE user_id IS NULL OR channel <> 'mail'")
    op.drop_index("notices_with_id_idx", "notices")
    op.drop_index("notices_user_id_idx", "notices")
    op.create_index("notices_user_id_idx", "notices", ["user_id"])
    op.drop_constraint("notices_event_id_user_id_channel_address_key", "notices")
    op.create_unique_constraint("notices_event_id_user_id_key", "notices", ["event_id", "user_id"])
    op.drop_constraint("notices_channel_check", "notices")
    op.drop_constraint("notices_with_id_fkey", "notices")
    for column in ("channel", "kind", "path", "good_until", "held", "with_id", "seen_at"):
        op.drop_column("notices", column)
    op.alter_column("notices", "user_id", nullable=False)
    op.drop_constraint("users_people_can_be_reached_check", "users")
    op.create_check_constraint(
        "users_people_have_mail_check", "users", "is_service OR email IS NOT NULL"
    )
    op.drop_constraint("users_phone_key", "users")
    for column in ("phone", "erased_at", "currency", "quiet_from", "quiet_until"):
        op.drop_column("users", column)
