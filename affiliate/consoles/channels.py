"""Where promoters share, in words: as they tell it, and as merchants read it."""

from affiliate.i18n import _p

CHANNELS = {
    "wechat": _p("channel", "WeChat"),
    "xiaohongshu": _p("channel", "Xiaohongshu"),
    "douyin": _p("channel", "Douyin"),
    "instagram": "Instagram",
    "tiktok": "TikTok",
    "whatsapp": "WhatsApp",
    "youtube": "YouTube",
    "telegram": "Telegram",
    "blog": _p("channel", "Own site or blog"),
    "other": _p("channel", "Somewhere else"),
}
