//! The table.

use super::Language;

macro_rules! texts {
    ($($name:ident: $english:literal, $japanese:literal;)*) => {
        /// A text.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Text { $($name),* }

        impl Text {
            #[cfg(test)]
            pub(crate) const ALL: &[Self] = &[$(Self::$name),*];

            /// The text in this language.
            pub(crate) fn of(self, language: Language) -> &'static str {
                match (self, language) {
                    $(
                        (Self::$name, Language::English) => $english,
                        (Self::$name, Language::Japanese) => $japanese,
                    )*
                }
            }
        }
    };
}

texts! {
    // Screens
    Now: "Now", "現在";
    Keys: "Keys", "キー";
    DeadLetters: "Dead letters", "デッドレター";
    Event: "Event", "イベント";
    Refused: "Refused", "拒否した要求";
    Acts: "Acts", "操作";
    Live: "Live", "ライブ";
    SkipToContent: "Skip to content", "本文へ移動";

    // The verdict
    NothingToDo: "Nothing to do", "対応は不要です";
    YouMustAct: "You must act", "対応が必要です";
    NotAllKnown: "Not everything is known", "わからないことがあります";
    NotYetKnown: "It has not answered yet", "まだ応答がありません";
    Unknown: "What could not be told", "わからなかったこと";

    // Now
    Waiting: "Waiting", "待機中";
    InFlight: "In flight", "配信中";
    Oldest: "Oldest", "最も古いもの";
    KeysThatWait: "Keys that wait for their next attempt", "次の試行を待つキー";
    Missing: "Missing", "不明(紛失)";
    Accepted: "Accepted", "受付";
    Delivered: "Delivered", "配信済み";
    Delivery: "Delivery", "配信";
    DeliveryGoesOn: "Delivery goes on", "配信しています";
    Paused: "Paused", "一時停止中";
    Until: "until", "終了予定";
    Since: "since", "開始";
    Destinations: "Destinations", "送信先";
    LastDeliveries: "Last deliveries", "最近の配信";
    Release: "Release", "リリース";
    Alarms: "Alarms", "アラーム";
    Storage: "Storage", "ストレージ";
    Forwarder: "Forwarder", "フォワーダー";
    None: "none", "なし";

    // Charts
    PerMinute: "Per minute", "1分ごと";
    LastHour: "Last hour", "直近1時間";
    LastDay: "Last day", "直近1日";
    FailedAttempts: "Failed attempts", "失敗した試行";
    UntilDelivered: "From acceptance to delivery", "受付から配信まで";
    InNumbers: "The same in numbers", "数値で見る";
    NotOfEachMinute: "?: not known; +: not of each minute; p50 and p99: the highest of a minute", "?: 不明 / +: 一部の分のみ / p50・p99: 1分ごとの値の最大";

    // Tables
    Key: "Key", "キー";
    Route: "Route", "ルート";
    Destination: "Destination", "送信先";
    Why: "Why", "理由";
    Reason: "Reason", "理由";
    Behind: "Behind", "後続";
    NextAttempt: "Next attempt", "次の試行";
    FirstEvent: "First event", "先頭のイベント";
    Attempts: "Attempts", "試行回数";
    Count: "Count", "件数";
    Answer: "Answer", "応答";
    First: "First", "最初";
    Last: "Last", "最後";
    Issue: "Issue", "原因";
    Status: "Status", "ステータス";
    Time: "Time", "時刻";
    Rule: "Rule", "規則";
    Place: "Place", "宛先";
    Sender: "Sender", "送信元";
    Who: "Who", "操作者";
    What: "What", "内容";
    Value: "Value", "値";
    Retried: "Retried", "再試行";
    Rejected: "Rejected", "拒否";
    Latency: "Latency", "所要時間";
    DeadSince: "Dead since", "デッドレター化";
    AcceptedAt: "Accepted at", "受付時刻";

    // An event
    FindBy: "Event id, message id, request id, ordering key, or text", "イベントID、メッセージID、リクエストID、順序キー、または文字列";
    Find: "Find", "検索";
    State: "State", "状態";
    Headers: "Headers", "ヘッダー";
    Body: "Body", "本文";
    LastAnswer: "Last answer", "最後の応答";
    History: "History", "経過";
    CanDo: "What can be done", "できること";
    Masked: "hidden", "非表示";

    // Dead letters
    Filter: "Filter", "絞り込み";
    Words: "Text", "文字列";
    LookNow: "Look now", "今すぐ見る";
    LookChanges: "On AWS a look is a receive: letters are hidden from others for a moment, and each receive count goes up by one.", "AWSでは見ることも受信です。レターはしばらく他の人から隠れ、受信回数が1つ増えます。";
    NoLook: "Nobody has looked yet.", "まだ誰も見ていません。";
    ShownOf: "shown of", "件表示 / 全";

    // Acts
    RetryAll: "Retry all now", "すべて今すぐ再試行";
    RetryNow: "Retry now", "今すぐ再試行";
    Skip: "Skip", "スキップ";
    Redrive: "Redrive", "再送";
    Drop: "Drop", "破棄";
    Pause: "Pause", "一時停止";
    Resume: "Resume", "再開";
    Confirm: "Do it", "実行する";
    Stop: "Stop", "中止";
    WhyIsNeeded: "Why? It stands in the audit log.", "理由(監査ログに残ります)";
    TypeTheNumber: "Type how many there are", "件数を入力してください";
    TheCommand: "The command that does the same", "同じ操作をするコマンド";
    WouldSend: "This is sent, in this order", "この順に送ります";
    PassedOver: "Older letters of the same keys that stay behind", "残る同じキーのより古いレター";
    ReadOnly: "This page only shows. Start it with --act to act.", "このページは閲覧専用です。操作するには --act を付けて起動してください。";
    NeedsScript: "Acts need JavaScript; everything can be read without.", "操作にはJavaScriptが必要です。閲覧はなしでもできます。";
    UnderWay: "under way", "実行中";
    Done: "done", "完了";
    DoneInPart: "failed, or done in part", "失敗、または一部のみ完了";
    Interrupted: "interrupted", "中断";
    FromThisPage: "From this page", "このページからの操作";
    AuditLog: "Audit log", "監査ログ";
    ForMinutes: "for minutes (empty: until resumed)", "分間(空欄: 再開するまで)";

    SendAgain: "Send again", "もう一度送る";
    Edit: "Send with this body", "この本文で送る";
    Changed: "What was changed", "変更点";
    Export: "Export", "エクスポート";
    PauseView: "Pause the view", "表示を止める";
    GoOn: "Go on", "表示を再開";
    FoundBy: "Found by this text", "この文字列で見つかったもの";

    Sent: "Sent again", "再送済み";
    StayedBehind: "Failed, and stayed behind", "失敗して残ったもの";
    KeysWithOlder: "Keys with older letters that stay", "より古いレターが残るキー";
    Dropped: "Dropped", "破棄済み";
    WrittenTo: "Kept in the file", "保存先のファイル";
    TriedNow: "can be attempted now", "今すぐ試行できます";
    TriedAlready: "is attempted already, or about to be", "すでに試行中か、まもなく試行されます";
    NothingWaits: "nothing of it waits", "待っているものはありません";
    TriedTooOften: "was received too often: left to its schedule", "受信回数が多いため、予定どおりに試行します";
    AskedToRest: "the destination asked by Retry-After not to be called yet", "送信先がRetry-Afterで待つよう求めています";
    NotReached: "was not reached", "処理されていません";
    IsSkipped: "is a dead letter now, and its key goes on", "デッドレターになり、キーは先へ進みます";
    WasDelivered: "was delivered after all", "結局配信されました";
    IsAsked: "becomes a dead letter with its next attempt", "次の試行でデッドレターになります";
    PausesEnded: "Pauses ended", "終了した一時停止";
    PausesLeft: "Pauses that are left", "残っている一時停止";
    Answered: "The command's own words", "コマンドの出力";
    Began: "Began", "開始";
    Result: "Result", "結果";
    NotEnded: "no end is known", "終了の記録なし";

    // Where it goes
    Routes: "Routes", "ルート一覧";
    Production: "PRODUCTION", "本番";
    InProduction: "in production", "本番環境";
    UrlToGive: "Where webhooks go to", "Webhookの送信先URL";
    OrderedBy: "Ordered by", "順序キー";
    Scheme: "Signature", "署名";
    NoScheme: "not checked", "検証なし";
    GoesTo: "Delivered to", "配信先";
    Retries: "Retries after", "再試行の間隔";
    GivenUpAfter: "Given up after", "断念までの時間";
    WhenRejected: "When rejected", "拒否されたとき";
    TestEvent: "A test event", "テストイベント";
    SendTestEvent: "Send a test event", "テストイベントを送る";
    NoTestEvent: "None can be sent from here", "ここからは送れません";
    NoUrl: "Where webhooks go to is not known here.", "Webhookの送信先URLがここではわかりません。";

    // States
    StateWaiting: "waiting", "待機中";
    StateInFlight: "in flight", "配信中";
    StateRetrying: "retrying", "再試行待ち";
    StateBlocked: "blocked", "ブロック中";
    StateDead: "dead letter", "デッドレター";
    StateDelivered: "delivered", "配信済み";
    StateRejected: "rejected", "拒否";
    StateGaveUp: "given up", "断念";
    StateUnroutable: "of no route", "ルートなし";
    StateMalformed: "malformed", "形式不正";
    StateUnverified: "signature not good", "署名不正";
    StateSkipped: "skipped", "スキップ";
    StateAccepted: "accepted", "受付";
    StateNotAttempted: "not attempted", "試行なし";
    StateDeadLettered: "dead-lettered", "デッドレター化";
    StateRedriven: "sent again", "再送";
    StateRepeated: "repeated", "もう一度送信";
    StateRepeatFailed: "repeat failed", "もう一度の送信に失敗";
    StateReceiveCount: "received too often", "受信回数の超過";

    // Getting in
    StartTitle: "Who are you?", "確認";
    StartHelp: "Open the file that the command named, or paste the token that stands in it.", "コマンドが表示したファイルを開くか、その中のトークンを貼り付けてください。";
    StartWrong: "This token has been used, or is another page's.", "このトークンは使用済みか、別のページのものです。";
    Token: "Token", "トークン";
    Enter: "Enter", "入る";
    NotFound: "There is no such page", "ページがありません";
}
