"""Dressing a text up as a web page: five sites, each with its own markup around the same kind of article.

Everything but the article is what a crawler meets every day: menus, cookie notices, share bars, bylines, related links,
comment forms, scripts, and sometimes a list, a table or a listing inside the article.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from jobs.sample.texts import Text

Page = Callable[[Text, int], str]


def _paragraphs(text: Text) -> str:
    return "\n".join(f"<p>{escape(paragraph, quote=False)}</p>" for paragraph in text.paragraphs)


def _links(names: Sequence[str], css: str) -> str:
    items = "".join(f'<li><a href="/{name.lower().replace(" ", "-")}">{name}</a></li>' for name in names)
    return f'<ul class="{css}">{items}</ul>'


def magazine(text: Text, number: int) -> str:
    """A magazine: HTML5 elements, a hero image, share buttons and a newsletter box."""
    return f"""<!DOCTYPE html>
<html lang="{text.language}">
<head>
<meta charset="utf-8">
<title>{escape(text.title)} | The Slow Quarter</title>
<meta name="description" content="An article from The Slow Quarter">
<meta property="og:title" content="{escape(text.title)}">
<meta property="article:published_time" content="2024-0{1 + number % 9}-1{number % 10}T08:00:00Z">
<link rel="stylesheet" href="/static/site.css">
<script>window.dataLayer = window.dataLayer || []; function gtag(){{dataLayer.push(arguments);}}</script>
<style>.hero img {{ width: 100%; }} .share a {{ padding: 4px; }}</style>
</head>
<body class="single">
<div id="cookie-banner" role="dialog">We use cookies to improve your visit. <button>Accept all</button>
<button>Only necessary</button></div>
<header class="site-header"><a href="/">The Slow Quarter</a>
<nav>{_links(["Home", "Crafts", "Nature", "History", "Subscribe", "Log in"], "menu")}</nav></header>
<main>
<article>
<h1>{escape(text.title)}</h1>
<p class="byline">By <a rel="author" href="/people/{number}">Staff writer</a>,
<time>1{number % 10} March 2024</time></p>
<figure class="hero"><img src="/img/{number}.jpg" alt=""></figure>
{_paragraphs(text)}
<div class="share">Share: <a href="#">Facebook</a> <a href="#">Twitter</a> <a href="#">E-mail</a></div>
</article>
<aside class="newsletter"><h2>Never miss an issue</h2><form><input type="email" name="e"><button>Sign up</button>
</form></aside>
<section class="related"><h2>Read next</h2>
{_links(["Older stories", "Most read", "From the archive"], "cards")}</section>
</main>
<footer><p>&copy; 2024 The Slow Quarter. All rights reserved.</p>
{_links(["About", "Privacy", "Terms"], "legal")}</footer>
<script src="/static/app.js" async></script>
</body>
</html>
"""


def manual(text: Text, number: int) -> str:
    """A documentation site: a sidebar, breadcrumbs, a listing and a note."""
    size = len(text.title)  # of the text, not of the page: an edited copy has the same listing
    listing = f"def example_{size}(value):\n    if value is None:\n        return {size}\n    return value * 2"
    chapters = _links([f"Chapter {chapter}" for chapter in range(1, 9)], "toctree")
    return f"""<!DOCTYPE html>
<html>
<head><meta http-equiv="Content-Type" content="text/html; charset=utf-8"><title>{escape(text.title)} - Manual</title>
</head>
<body>
<div class="related" role="navigation"><h3>Navigation</h3>
{_links(["index", "modules", "next", "previous"], "rel")}</div>
<div class="sphinxsidebar"><h3>Table of contents</h3>{chapters}
<form class="search"><input type="text" name="q"><input type="submit" value="Go"></form></div>
<div class="document"><div class="body" role="main">
<div class="section" id="s{number}">
<h1>{escape(text.title)}<a class="headerlink" href="#s{number}" title="Permalink">&para;</a></h1>
{_paragraphs(text)}
<div class="highlight"><pre><code class="language-python">{escape(listing)}</code></pre></div>
</div></div></div>
<div class="footer">Copyright 2024. Created using a generator. Last updated on {1 + number % 28} May 2024.</div>
</body>
</html>
"""


def blog(text: Text, number: int) -> str:
    """A blog: nested containers, a tag cloud, comments and a comment form."""
    tags = " ".join(f'<a class="tag" href="/tag/{tag}">{tag}</a>' for tag in ("notes", "howto", "longread"))
    return f"""<html><head><title>{escape(text.title)} &ndash; A blog</title>
<link rel="alternate" type="application/rss+xml" href="/feed"><script>var _gaq = [["_trackPageview"]];</script></head>
<body><div id="page"><div id="masthead"><div class="wrap"><h1 class="site-title"><a href="/">A blog</a></h1>
<div class="tagline">Thoughts, in no particular order</div></div></div>
<div id="nav"><div class="wrap">{_links(["Home", "About me", "Contact", "Archive"], "nav")}</div></div>
<div id="content"><div class="wrap"><div class="post" id="post-{number}">
<h2 class="entry-title">{escape(text.title)}</h2>
<div class="entry-meta">Posted on 2024-05-{10 + number % 18} by admin</div>
<div class="entry-content">
{_paragraphs(text)}
</div>
<div class="entry-utility">Tags: {tags}</div></div>
<div id="comments"><h3>2 responses</h3>
<ol><li>anna: Thank you!</li><li>ben: Nice.</li></ol>
<form action="/comment" method="post"><label>Name <input name="n"></label><textarea name="c"></textarea>
<button>Post comment</button></form></div></div></div>
<div id="sidebar"><h3>Recent posts</h3>{_links(["Post one", "Post two", "Post three"], "recent")}
<h3>Blogroll</h3>{_links(["A friend", "Another friend"], "roll")}</div>
<div id="footer">Powered by a blog engine. Theme: Plain.</div></div></body></html>
"""


def archive(text: Text, number: int) -> str:
    """A page from the nineties: table layout, upper-case tags, unclosed paragraphs, a counter."""
    body = "\n".join(f"<P>{escape(paragraph, quote=False)}" for paragraph in text.paragraphs)
    return f"""<HTML><HEAD><TITLE>{escape(text.title)}</TITLE></HEAD>
<BODY BGCOLOR="#FFFFFF" LINK="#0000EE">
<TABLE WIDTH="100%" BORDER=0><TR><TD COLSPAN=2><A HREF="/"><IMG SRC="logo.gif" ALT="Home"></A>
<FONT SIZE=1>[ <A HREF="/a">Index</A> | <A HREF="/b">Links</A> | <A HREF="/g">Guestbook</A> ]</FONT></TD></TR>
<TR><TD WIDTH=150 VALIGN=TOP><FONT SIZE=2><A HREF="/n">News</A><BR><A HREF="/l">Library</A><BR>
<A HREF="/m">Mail</A></FONT></TD>
<TD VALIGN=TOP>
<H1>{escape(text.title)}</H1>
{body}
</TD></TR>
<TR><TD COLSPAN=2 ALIGN=CENTER><HR><FONT SIZE=1>You are visitor {1000 + number}. Best viewed at 800x600.</FONT>
</TD></TR></TABLE>
</BODY></HTML>
"""


def handbook(text: Text, number: int) -> str:
    """A handbook: headings, a bulleted list and a table inside the article."""
    return f"""<!doctype html>
<html lang="{text.language}"><head><meta charset="utf-8"><title>{escape(text.title)} · Handbook</title>
<script type="application/ld+json">{{"@context": "https://schema.org", "@type": "Article"}}</script></head>
<body>
<nav aria-label="Breadcrumb"><a href="/">Handbook</a> › <a href="/part">Part {number % 7 + 1}</a></nav>
<div class="layout">
<div class="menu">{_links(["Overview", "Getting started", "Reference", "Glossary", "Help"], "side")}</div>
<div class="main-content"><h1>{escape(text.title)}</h1>
{_paragraphs(text)}
<ul><li>Chapter number {number} of the handbook.</li><li>Last reviewed in the year 2024.</li></ul>
<table><tr><th>Edition</th><th>Pages</th></tr><tr><td>Print</td><td>{100 + number}</td></tr></table>
</div></div>
<div class="feedback">Was this page helpful? <button>Yes</button> <button>No</button></div>
<footer>{_links(["Imprint", "Accessibility", "Sitemap"], "foot")}<small>Version 3.2</small></footer>
</body></html>
"""


SITES: dict[str, Page] = {
    "https://www.slow-quarter.example/articles": magazine,
    "https://manual.example/reference": manual,
    "https://a-blog.example/2024/05": blog,
    "http://old-pages.example/~library": archive,
    "https://handbook.example/guide": handbook,
}


def application_shell(number: int) -> str:
    """A page that a script would fill: nothing in it is text."""
    return f"""<!DOCTYPE html>
<html><head><meta charset="utf-8"><title>App {number}</title><script src="/bundle.{number}.js" defer></script></head>
<body><div id="root"></div><noscript></noscript><script>window.__STATE__ = {{"page": {number}}};</script></body></html>
"""
