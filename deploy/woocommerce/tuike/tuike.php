<?php
/**
 * Plugin Name: Tuike
 * Description: Writes into each order which promoters' links led to it. Needs WooCommerce.
 * Version: 1.0.0
 * Requires PHP: 7.4
 * Requires Plugins: woocommerce
 * License: Apache-2.0
 *
 * In wp-config.php:
 *   define( 'TUIKE_URL', 'https://go.example.com' );  // the instance; required
 *   define( 'TUIKE_DAYS', 30 );                       // the window of the program
 *   define( 'TUIKE_CONSENT', true );                  // keep nothing before tuike.consent(true)
 */

defined( 'ABSPATH' ) || exit;

add_action( 'wp_enqueue_scripts', 'tuike_script' );
add_filter( 'script_loader_tag', 'tuike_script_tag', 10, 2 );
add_action( 'woocommerce_checkout_create_order', 'tuike_mark_order' );
add_action( 'woocommerce_store_api_checkout_update_order_meta', 'tuike_mark_order' );
add_action( 'before_woocommerce_init', 'tuike_declare_compatible' );

function tuike_script() {
	if ( defined( 'TUIKE_URL' ) ) {
		wp_enqueue_script( 'tuike', rtrim( TUIKE_URL, '/' ) . '/affiliate.js', array(), null, false );
	}
}

/** The script reads its settings from its own tag. */
function tuike_script_tag( $tag, $handle ) {
	if ( 'tuike' !== $handle ) {
		return $tag;
	}
	$days    = defined( 'TUIKE_DAYS' ) ? (int) TUIKE_DAYS : 30;
	$consent = defined( 'TUIKE_CONSENT' ) && TUIKE_CONSENT ? ' data-consent' : '';
	return str_replace( '<script ', '<script data-days="' . $days . '"' . $consent . ' ', $tag );
}

/** Both checkouts, the classic one before it saves the order and the block one after it did. */
function tuike_mark_order( $order ) {
	$tokens = tuike_tokens( $_COOKIE['tuike'] ?? '', $_POST['tk'] ?? '' );
	if ( $tokens ) {
		$order->update_meta_data( '_tk', implode( '.', $tokens ) );
		if ( $order->get_id() ) {
			$order->save_meta_data();
		}
	}
}

/** What looks like tokens in these texts, the last five; anything else stays outside. */
function tuike_tokens( ...$texts ) {
	$found = array();
	foreach ( $texts as $text ) {
		if ( is_string( $text ) ) {
			preg_match_all( '/(?<![\w-])[\w-]{32}(?![\w-])/', substr( $text, 0, 1000 ), $matches );
			$found = array_merge( $found, $matches[0] );
		}
	}
	return array_slice( array_values( array_unique( $found ) ), -5 );
}

function tuike_declare_compatible() {
	$features = '\Automattic\WooCommerce\Utilities\FeaturesUtil';
	if ( class_exists( $features ) ) {
		foreach ( array( 'custom_order_tables', 'cart_checkout_blocks' ) as $feature ) {
			$features::declare_compatibility( $feature, __FILE__, true );
		}
	}
}
