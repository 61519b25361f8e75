//! HTML: a text in it is a text, whatever it says.

/// A page, or a part of one. Markup is only what is written in this program.
#[derive(Debug, Default)]
pub(crate) struct Html(String);

impl Html {
    /// Adds markup.
    pub(crate) fn markup(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Adds a text. In a value between quotation marks it is one, too.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        for char in text.chars() {
            match char {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                char => self.0.push(char),
            }
        }
        self
    }

    /// Adds a text as code.
    pub(crate) fn code(&mut self, text: &str) -> &mut Self {
        self.markup("<code>").text(text).markup("</code>")
    }

    /// Adds a text in which what stands between backticks is code.
    pub(crate) fn prose(&mut self, text: &str) -> &mut Self {
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('`') {
            // A backtick without a second is a text.
            let Some((code, after)) = after.split_once('`') else {
                break;
            };
            self.text(before).code(code);
            rest = after;
        }
        self.text(rest)
    }

    /// The page.
    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_backticks_is_code_and_nothing_in_a_text_is_markup() {
        let of = |text: &str| {
            let mut html = Html::default();
            html.prose(text);
            html.into_string()
        };
        assert_eq!(
            of("go by `code`, not `title`"),
            "go by <code>code</code>, not <code>title</code>"
        );
        assert_eq!(of("one ` alone"), "one ` alone");
        assert_eq!(of("`a` and ` b"), "<code>a</code> and ` b");
        assert_eq!(
            of("<b>\"x\"</b> & `<script>'`"),
            "&lt;b&gt;&quot;x&quot;&lt;/b&gt; &amp; <code>&lt;script&gt;&#39;</code>"
        );
    }
}
